"""What `jaxcam explain` writes is what the library computes, and the index tells all of it."""

import csv
import hashlib

import jax
import numpy as np
import pytest
from PIL import Image

import converters
import jaxcam
from jaxcam import _explain, models

MODEL = "cifar_resnet20"


@pytest.fixture(scope="module")
def expected(weights):
    """(files, targets, **keywords) -> what the library gives for the same pictures."""
    probe = jaxcam.probe(converters.load(MODEL, weights), "layer3")
    preprocess = models.preprocess(MODEL)

    def compute(files, targets=None, **keywords):
        images = np.stack([preprocess(Image.open(file)) for file in files])
        maps, outputs = jaxcam.explain(probe, images, targets, with_output=True, **keywords)
        return np.asarray(maps), np.asarray(outputs)

    return compute


def test_overlay_map_and_index_of_every_picture(explain, expected, folder, weights):
    result = explain(folder, "--method", "hirescam")
    assert result.code == 0, result.text
    assert "5 pictures" in result.stdout
    assert result.error == ""  # no bar where nobody looks

    files = sorted(folder.iterdir())
    maps, outputs = expected(files, method="hirescam")
    probabilities = np.asarray(jax.nn.softmax(outputs))
    assert sorted(each.name for each in result.out.iterdir()) == sorted(
        ["index.csv", "index.json", *(f"{name}.{kind}" for name in "abcde" for kind in ("npy", "png"))]
    )
    for entry, file, shown, output, probability in zip(
        result.index["pictures"], files, maps, outputs, probabilities, strict=True
    ):
        best = int(output.argmax())
        (target,) = entry["maps"]
        assert entry["picture"] == str(file)
        assert [each["class"] for each in entry["predictions"]] == list(np.argsort(-output)[:5])
        assert entry["predictions"][0] == {key: target[key] for key in ("class", "name", "probability")}
        assert target["class"] == best
        assert target["probability"] == pytest.approx(probability[best], abs=1e-5)
        assert target["score"] == pytest.approx(output[best], abs=1e-4)
        stored = np.load(result.out / target["map"])
        assert stored.dtype == np.float32
        np.testing.assert_allclose(stored, shown, atol=1e-5)
        view = models.preprocess(MODEL).view(Image.open(file))
        overlay = np.asarray(Image.open(result.out / target["overlay"]))
        np.testing.assert_array_equal(overlay, jaxcam.overlay(view, stored))


def test_run_is_told_in_both_indices(explain, folder, weights):
    result = explain(
        folder / "a.png", folder / "b.png", "--target", "cat", "--target", 9, "--layer", "layer2"
    )
    run = result.index["run"]
    told = {
        "model": MODEL,
        "weights": str(weights),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "layer": "layer2",
        "layer_size": "16x16",
        "method": "gradcam",
        "targets": "3 9",
        "dtype": "float32",
        "jaxcam": jaxcam.__version__,
        "jax": jax.__version__,
    }
    assert {key: run[key] for key in told} == told
    with (result.out / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row, (entry, target) in zip(
        rows, ((e, t) for e in result.index["pictures"] for t in e["maps"]), strict=True
    ):
        assert {key: row[key] for key in told} == told
        assert row["picture"] == entry["picture"]
        assert row["map"] == target["map"]
        assert row["overlay"] == target["overlay"]
        assert (int(row["target"]), row["target_name"]) == (target["class"], target["name"])
        assert float(row["score"]) == target["score"]
        assert row["name_5"] == entry["predictions"][4]["name"]


def test_several_targets_give_a_file_each(explain, expected, folder):
    result = explain(folder / "a.png", "--target", "Cat", "--target", 9, "--target", 3)
    assert result.code == 0, result.text
    maps, _ = expected([folder / "a.png"], np.array([[3, 9]]))
    files = [each["map"] for each in result.index["pictures"][0]["maps"]]
    assert files == ["a.3-cat.npy", "a.9-truck.npy"]
    for file, shown in zip(files, maps[0], strict=True):
        np.testing.assert_allclose(np.load(result.out / file), shown, atol=1e-5)
        assert (result.out / file).with_suffix(".png").is_file()


def test_top_k_takes_each_pictures_own_classes(explain, expected, folder):
    result = explain(folder / "a.png", folder / "b.png", "--target", "top-3")
    maps, outputs = expected([folder / "a.png", folder / "b.png"], jaxcam.top(3))
    for entry, three, output in zip(result.index["pictures"], maps, outputs, strict=True):
        assert [each["class"] for each in entry["maps"]] == list(np.argsort(-output)[:3])
        for target, shown in zip(entry["maps"], three, strict=True):
            np.testing.assert_allclose(np.load(result.out / target["map"]), shown, atol=1e-5)


def test_raw_maps_are_signed_and_of_the_layers_size(explain, expected, folder):
    _, outputs = expected([folder / "a.png"], raw=True)
    worst = int(outputs[0].argmin())
    raw, _ = expected([folder / "a.png"], worst, raw=True)
    stored = np.load(explain(folder / "a.png", "--raw", "--target", worst).out / "a.npy")
    assert stored.shape == (8, 8)
    assert stored.min() < 0
    np.testing.assert_allclose(stored, raw[0], atol=1e-5)
    layer = np.load(explain(folder / "a.png", "--size", "layer", "--target", worst).out / "a.npy")
    np.testing.assert_allclose(layer, jaxcam.display(raw[0]), atol=1e-5)


def test_bfloat16_and_squeeze_change_what_they_say(explain, folder, scene):
    scene(7, (90, 40)).save(folder / "wide.png")
    plain = explain(folder / "wide.png")
    squeezed = explain(folder / "wide.png", "--squeeze")
    half = explain(folder / "wide.png", "--dtype", "bfloat16")
    view = models.preprocess(MODEL).view(Image.open(folder / "wide.png"), crop=False)
    overlay = jaxcam.overlay(view, np.load(squeezed.out / "wide.npy"))
    np.testing.assert_array_equal(np.asarray(Image.open(squeezed.out / "wide.png")), overlay)
    scores = [each.index["pictures"][0]["predictions"][0]["probability"] for each in (plain, squeezed, half)]
    assert len(set(scores)) == 3
    assert scores[2] == pytest.approx(scores[0], abs=0.05)
    assert np.load(half.out / "wide.npy").dtype == np.float32


def test_colours_are_those_asked_for(explain, folder):
    result = explain(folder / "a.png", "--colormap", "gray", "--alpha", 1)
    overlay = np.asarray(Image.open(result.out / "a.png"))
    assert (overlay == overlay[..., :1]).all()
    np.testing.assert_allclose(overlay[..., 0] / 255, np.load(result.out / "a.npy"), atol=1 / 200)


def test_one_program_for_all_batches_whatever_is_left_over(explain, folder):
    before = _explain._explain._cache_size()
    in_threes = explain(folder, "--method", "xgradcam", "--batch", 3)
    assert _explain._explain._cache_size() - before == 1
    at_once = explain(folder, "--method", "xgradcam")
    for name in "abcde":
        np.testing.assert_allclose(
            np.load(in_threes.out / f"{name}.npy"), np.load(at_once.out / f"{name}.npy"), atol=1e-5
        )


def test_method_options_reach_the_method(explain, expected, folder):
    result = explain(folder / "a.png", "--method", "hirescam", "--option", "fuse=principal_component")
    maps, _ = expected([folder / "a.png"], method="eigengradcam")
    np.testing.assert_allclose(np.load(result.out / "a.npy"), maps[0], atol=1e-4)
    assert result.index["run"]["options"] == "fuse=principal_component"


def test_interrupted_run_keeps_what_is_done(explain, folder, monkeypatch):
    from jaxcam.cli.explain._gallery import Gallery

    maps, calls = Gallery._maps, []

    def third_time_interrupted(self, group):
        calls.append(group)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return maps(self, group)

    monkeypatch.setattr(Gallery, "_maps", third_time_interrupted)
    result = explain(folder, "--batch", 2)
    assert result.code == 130
    assert result.crashed is None
    assert [each["maps"][0]["overlay"] for each in result.index["pictures"]] == [f"{x}.png" for x in "abcd"]
    assert sorted(each.stem for each in result.out.glob("*.npy")) == list("abcd")
    assert not list(result.out.glob(".*"))


def test_output_that_cannot_be_written_ends_the_run_in_words(explain, folder, monkeypatch):
    def full(*args, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    result = explain(folder)
    assert result.code == 1
    assert result.crashed is None
    assert "cannot write an output" in result.error
    assert "No space left" in result.error
    assert result.index["pictures"] == []


@pytest.mark.realdata
def test_real_pictures_are_recognised_and_the_truncated_one_is_told(jaxcam_command, data, tmp_path):
    pictures = [data / "boxes/kangaroo/images" / f"{name}.jpg" for name in ("00020", "00090", "00031")]
    result = jaxcam_command(
        *("explain", *pictures, "--model", "squeezenet1_1", "--weights", data / "weights/squeezenet1_1.pth"),
        *("--target", "Wallaby", "--target", "red fox", "--out", tmp_path / "out"),
    )
    assert result.code == 1
    assert "wallaby (104)" in result.stdout
    assert result.text.rstrip().splitlines()[-1].startswith("1 of 3 pictures failed: ")
    assert "00090.jpg: image file is truncated" in result.text.rstrip().splitlines()[-1]
    with (tmp_path / "out/index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name_1"] for row in rows] == ["wallaby"] * 4
    assert (tmp_path / "out/00020.277-red_fox.png").is_file()
