"""Links across, pipes, devices and kinds that are not read; decoders that raise; maps that are zero or not finite."""

import os
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from dataset_files import save
from PIL import Image
from small_run import SIDE, pictures, run

import jaxcam
from jaxcam import datasets
from jaxcam.datasets.sources._files import is_systems
from jaxcam.models._preprocess import Preprocess

SETTINGS = {"preprocess": Preprocess(resize=SIDE, size=SIDE), "batch": 2, "maps_dtype": "float32"}


def within(seconds, function):
    """What the function raised, within so many seconds: what opens a pipe never comes back."""
    caught = []

    def call():
        try:
            function()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it blocks"
    return caught[0] if caught else None


def names(root):
    source = datasets.open(root)
    return [source.name(i) for i in range(len(source))]


def test_cross_links_are_walked_once(tmp_path):
    for each in ("a", "b"):
        save(tmp_path / "in" / each / "p.png")
    for here, there in (("a", "b"), ("b", "a")):
        for number in (1, 2):
            (tmp_path / "in" / here / f"x{number}").symlink_to(f"../{there}")
    assert within(10, lambda: names(tmp_path / "in")) is None
    assert names(tmp_path / "in") == ["a/p.png", "b/p.png"]
    assert datasets.open(tmp_path / "in").classes == ("a", "b")


def test_a_link_to_a_folder_elsewhere_is_followed_once(tmp_path):
    save(tmp_path / "else" / "p.png")
    save(tmp_path / "else" / "deep" / "q.png")
    save(tmp_path / "in" / "r.png")
    for name in ("b", "c"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "else")
    (tmp_path / "else" / "back").symlink_to(tmp_path / "else")
    assert names(tmp_path / "in") == ["r.png", "b/p.png", "b/deep/q.png"]


def test_a_link_to_what_holds_the_folder_is_not_followed(tmp_path):
    save(tmp_path / "beside" / "p.png")
    save(tmp_path / "in" / "q.png")
    (tmp_path / "in" / "up").symlink_to("..")
    assert names(tmp_path / "in") == ["q.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz", "a.jsonl", "a.parquet", "a.array_record"])
def test_a_pipe_is_not_a_source(tmp_path, name):
    os.mkfifo(tmp_path / name)
    error = within(10, lambda: datasets.open(tmp_path / name))
    assert isinstance(error, ValueError)
    assert "is a pipe or a device, not a file" in str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_a_picture_or_labels(tmp_path):
    save(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "c.png").symlink_to("/dev/zero")
    source = datasets.open(tmp_path / "in")
    for record in (1, 2):
        error = within(10, lambda record=record: source[record])
        assert isinstance(error, datasets.Unreadable)
        assert str(error) == "is a pipe or a device"
    error = within(10, lambda: datasets.open(pictures(3), labels=tmp_path / "in" / "b.png"))
    assert isinstance(error, ValueError)
    (tmp_path / "in.zarr" / "x").mkdir(parents=True)
    (tmp_path / "in.zarr" / ".zgroup").write_text("{}")
    os.mkfifo(tmp_path / "in.zarr" / "x" / "zarr.json")
    assert isinstance(within(10, lambda: datasets.open(tmp_path / "in.zarr")), ValueError)


@pytest.mark.skipif(not is_systems("/proc"), reason="this system has no /proc")
def test_the_operating_systems_files_are_not_opened(tmp_path):
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to("/proc/kmsg")  # looks like a file, and blocks
    (tmp_path / "in" / "c").symlink_to("/proc")
    (tmp_path / "m.csv").symlink_to("/proc/self/pagemap")
    (tmp_path / "d").symlink_to("/proc")
    assert names(tmp_path / "in") == ["a.png", "b.png"]
    error = within(10, lambda: datasets.open(tmp_path / "in")[1])
    assert isinstance(error, datasets.Unreadable)
    assert str(error) == "is a file of the operating system"
    for each in ("m.csv", "d"):
        error = within(10, lambda each=each: datasets.open(tmp_path / each))
        assert isinstance(error, ValueError)
        assert "of the operating system" in str(error)


def test_pictures_of_kinds_that_are_not_read_are_counted_and_said(tmp_path):
    save(tmp_path / "in" / "a.png")
    for name in ("b.heic", "c.HEIC", "d.cr2", "notes.txt", ".e.heic"):
        (tmp_path / "in" / name).touch()
    events = []
    run(str(tmp_path / "in"), tmp_path / "a", listeners=[events.append])
    assert [each["text"] for each in events if each["event"] == "note"] == [
        "pictures of kinds that are not read are left out: 2 .heic, 1 .cr2"
    ]
    (tmp_path / "in" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"no picture below .* left out: 2 \.heic, 1 \.cr2"):
        datasets.open(tmp_path / "in")


def test_jfif_and_jpeg_2000_are_pictures(tmp_path):
    for name, kind in (("a.jfif", "JPEG"), ("b.jp2", "JPEG2000")):
        Image.fromarray(pictures(1)[0]).save(tmp_path / name, kind)
    source = datasets.open(tmp_path)
    assert [source[i].path for i in range(len(source))] == ["a.jfif", "b.jp2"]


@pytest.mark.parametrize("error", [MemoryError(), SyntaxError("not a TIFF file"), RecursionError("deep")])
def test_whatever_a_record_raises_is_its_failure(tmp_path, error, monkeypatch):
    def view(self, picture, *, crop=True):
        if np.asarray(picture).max() == 0:
            raise error
        return np.zeros((SIDE, SIDE, 3), np.uint8)

    monkeypatch.setattr(Preprocess, "view", view)
    given = pictures(4)
    given[1] = 0
    summary = run(given, tmp_path / "a")
    assert (summary.done, summary.failed) == (3, 1)
    reason = datasets.open_store(tmp_path / "a")["error"][1]
    words = (
        "needs more memory than there is" if isinstance(error, MemoryError) else f"{type(error).__name__}: "
    )
    assert reason.startswith(words)


def test_a_source_of_ones_own_that_raises_is_not_an_end(tmp_path):
    class Own:
        kind, location, classes = "sequence", "own", None

        def __len__(self):
            return 3

        def __getitem__(self, i):
            if i == 1:
                raise KeyError("no such row")
            return datasets.Record(Image.fromarray(pictures(3)[i]), self.name(i), bytes([i + 1] * 32))

        def name(self, i):
            return f"own[{i}]"

        def fingerprint(self):
            return "own"

    assert run(Own(), tmp_path / "a").failed == 1
    assert datasets.open_store(tmp_path / "a")["error"][1] == "KeyError: 'no such row'"
    assert run(Own(), tmp_path / "a").computed == 0


def model(weights, images):
    """Class 0 is the mean of the pixels; class 1 does not depend on them; class 2 overflows for bright pictures."""
    activation = jaxcam.tap(images, "pixels")
    mean = activation.mean(axis=(1, 2, 3))
    return jnp.stack([mean * weights, 0 * mean + 1, jnp.exp(mean * 1000)], axis=1)


def probe():
    return jaxcam.probe(model, "pixels", variables=jnp.ones(()))


def test_zero_maps_are_noted_and_counted(tmp_path):
    given = np.full((3, SIDE, SIDE, 3), -1, np.float32)
    summary = datasets.run(given, probe(), out=tmp_path / "a", targets=[0, 1], **SETTINGS)
    assert (summary.done, summary.failed, summary.noted) == (3, 0, 3)
    notes = datasets.open_store(tmp_path / "a")["note"]
    assert list(notes) == ["the maps of these classes are zero everywhere: 1"] * 3
    again = datasets.run(given, probe(), out=tmp_path / "a", targets=[0, 1], **SETTINGS)
    assert (again.computed, again.noted) == (0, 3)
    one = datasets.run(given, probe(), out=tmp_path / "b", targets=1, **SETTINGS)
    assert one.noted == 3
    from jaxcam.cli._run_dataset import describe

    assert "3 explained, 0 failed, 3 of them with a map that is zero everywhere" in describe(one)


def test_maps_that_are_not_finite_are_failures(tmp_path):
    def nan_for_bright(probe, image, target=None):
        shown = jaxcam.gradcam(probe, image, target)
        return jnp.where(image.mean() > 0, jnp.nan, shown)

    given = np.full((4, SIDE, SIDE, 3), -1, np.float32)
    given[1] = 1  # the model overflows, and the map is not finite
    given[2] = 0.01
    for stored in ("image", "raw"):
        settings = SETTINGS | {"method": nan_for_bright, "targets": 0, "stored": stored}
        summary = datasets.run(given, probe(), out=tmp_path / stored, **settings)
        assert (summary.done, summary.failed, summary.noted) == (2, 2, 0)
        assert list(datasets.open_store(tmp_path / stored)["error"]) == [
            "",
            "the model's output is not finite",
            "the map is not finite: the layer's activation or gradient holds NaN or infinity",
            "",
        ]


def test_raw_maps_beyond_float16_are_failures(tmp_path):
    def large(probe, image, target=None):
        return jaxcam.gradcam(probe, image, target) * 0 + 1e6

    given = np.full((2, SIDE, SIDE, 3), -1, np.float32)
    settings = SETTINGS | {"method": large, "targets": 0, "stored": "raw", "maps_dtype": "float16"}
    assert datasets.run(given, probe(), out=tmp_path / "a", **settings).failed == 2
    assert "float16" in datasets.open_store(tmp_path / "a")["error"][0]


def test_labels_that_nobody_gives_end_a_run_before_it_begins(tmp_path):
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "m.csv").write_text("path,boxes\na.png,\n")
    (tmp_path / "in" / "n.csv").write_text("path,target\na.png,7\n")
    objects = [Image.fromarray(each) for each in pictures(3)]
    for source in (tmp_path / "in", tmp_path / "in" / "m.csv", pictures(3), objects):
        with pytest.raises(ValueError, match="names a class to explain: labels come from folders of classes"):
            run(source, tmp_path / "a", targets="label")
    with pytest.raises(ValueError, match="names a class of the model, 0 to 4: the first names 7"):
        run(tmp_path / "in" / "n.csv", tmp_path / "a", targets="label")
    assert not (tmp_path / "a").exists()


def test_malformed_boxes_do_not_stop_a_run_which_does_not_use_them(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text('path,boxes\na.png,"[[1,2"\n')
    assert run(tmp_path / "m.csv", tmp_path / "out").done == 1
    with pytest.raises(ValueError, match="boxes are JSON"):
        datasets.open(tmp_path / "m.csv")
    assert datasets.open(tmp_path / "m.csv", boxes=False)[0].boxes == ()
