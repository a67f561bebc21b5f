"""Which pictures are found and read, what they are called, and what happens to those that cannot be read."""

import threading

import numpy as np
import pytest
from PIL import Image

from jaxcam import models
from jaxcam.files._pictures import Failure, Found, find, read, read_ahead
from jaxcam.files._whole import whole

PREPROCESS = models.preprocess("cifar_resnet20")


def names(result):
    return [each["maps"][0]["overlay"] for each in result.index["pictures"]]


def test_pictures_of_every_kind_are_read(explain, tmp_path, scene):
    folder, picture = tmp_path / "kinds", scene(1)
    folder.mkdir()
    grey = np.asarray(picture.convert("L"))
    picture.save(folder / "rgb.webp")
    picture.save(folder / "rgb.bmp")
    picture.save(folder / "rgb.TIFF")
    picture.convert("L").save(folder / "grey.jpg")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("CMYK").save(folder / "cmyk.jpeg")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("1").save(folder / "black_white.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "grey16.png")
    picture.save(folder / "frames.gif", save_all=True, append_images=[scene(2)])
    result = explain(folder)
    assert result.code == 0, result.text
    assert len(result.index["pictures"]) == 10
    scores = {
        each["picture"].rsplit("/", 1)[1]: each["maps"][0]["score"] for each in result.index["pictures"]
    }
    assert scores["rgb.bmp"] == scores["rgb.TIFF"] == scores["alpha.png"]
    assert scores["grey16.png"] == pytest.approx(scores["grey.jpg"], abs=0.2)


def test_a_turned_picture_is_turned_upright(explain, tmp_path, scene):
    upright, exif = scene(3), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.save(tmp_path / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    result = explain(tmp_path / "upright.png", tmp_path / "turned.png")
    maps = [np.load(result.out / f"{name}.npy") for name in ("upright", "turned")]
    np.testing.assert_array_equal(*maps)


def test_folders_are_walked_in_order_without_what_is_hidden(tmp_path, scene):
    for name in ("b/2.png", "b/1.JPG", "a.png", ".hidden/x.png", "b/.x.png", "b/notes.txt", "out/old.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene(1).save(tmp_path / name, "PNG")
    found = find([tmp_path, tmp_path / "a.png"], out=tmp_path / "out")
    assert [each.stem for each in found] == ["a", "b/1", "b/2"]
    assert [each.path for each in found] == [tmp_path / name for name in ("a.png", "b/1.JPG", "b/2.png")]


def test_equal_names_do_not_overwrite_each_other(explain, tmp_path, scene):
    pictures = tmp_path / "pictures"
    files = [pictures / name for name in ("one/cat.png", "two/cat.png", "one/cat.bmp", "one/CAT-2.png")]
    for seed, file in enumerate(files):
        file.parent.mkdir(exist_ok=True, parents=True)
        scene(seed).save(file)
    result = explain(*files)
    assert names(result) == ["cat.png", "cat-2.png", "cat-3.png", "CAT-2-2.png"]
    assert len({np.load(file).tobytes() for file in result.out.glob("*.npy")}) == 4
    mirrored = explain(pictures / "one", pictures)
    assert names(mirrored) == ["CAT-2.png", "cat.png", "cat-3.png", "two/cat.png"]


def test_pictures_that_cannot_be_read_are_told_and_the_others_done(explain, folder, scene):
    scene(1, (200, 200)).save(folder / "c1-cut.jpg")
    whole_file = (folder / "c1-cut.jpg").read_bytes()
    (folder / "c1-cut.jpg").write_bytes(whole_file[: len(whole_file) // 2])
    (folder / "c2-text.png").write_text("not a picture")
    (folder / "c3-empty.png").write_bytes(b"")
    result = explain(folder, folder / "gone.png", "--batch", 2)
    assert result.code == 1
    assert names(result) == [f"{name}.png" for name in "abcde"]
    failed = {each["picture"].rsplit("/", 1)[1]: each["reason"] for each in result.index["failed"]}
    assert list(failed) == ["c1-cut.jpg", "c2-text.png", "c3-empty.png", "gone.png"]
    assert "truncated" in failed["c1-cut.jpg"]
    assert "not a picture" in failed["c2-text.png"]
    assert failed["gone.png"] == "no such file"
    last = result.text.rstrip().splitlines()[-1]
    assert last.startswith("4 of 9 pictures failed: ")
    assert "c1-cut.jpg: image file is truncated" in last
    assert "and 1 more" in last
    assert "5 of 9 pictures" in result.stdout


def test_no_picture_that_can_be_read(explain, tmp_path):
    (tmp_path / "x.png").write_text("not a picture")
    result = explain(tmp_path / "x.png")
    assert result.code == 1
    assert result.index["pictures"] == []
    assert (result.out / "index.csv").is_file()


def test_maps_that_are_not_finite_are_failures(explain, folder, monkeypatch):
    from jaxcam.files._pictures import Picture

    def read_dark(found, preprocess, *, crop):
        picture = read(found, preprocess, crop=crop)
        assert isinstance(picture, Picture)
        return picture._replace(image=picture.image * (1e38 if found.stem == "b" else 1))

    monkeypatch.setattr("jaxcam.cli.explain._gallery.read", read_dark)
    result = explain(folder)
    assert result.code == 1
    assert names(result) == ["a.png", "c.png", "d.png", "e.png"]
    assert [each["reason"] for each in result.index["failed"]] == [
        "the model's output or the map is not finite"
    ]


def test_names_of_any_letters(explain, tmp_path, scene):
    folder = tmp_path / "[red] été"
    folder.mkdir()
    scene(1).save(folder / "[b]ü\n.png")
    odd = bytes(folder) + b"/\xff.png"
    with open(odd, "wb") as file:
        scene(2).save(file, "PNG")
    result = explain(folder)
    assert result.code == 0, result.text
    assert "[b]ü�.png" in result.stdout
    assert len(result.index["pictures"]) == 2
    assert "\udcff.png" in names(result)
    assert b"\xff.png" in (result.out / "index.csv").read_bytes()


def test_reading_ahead_keeps_the_order_and_the_distance():
    begun, release = [], threading.Event()

    def slow(found):
        begun.append(found.stem)
        release.wait(10)
        return Failure(found, found.stem)

    pictures = [Found(None, str(number)) for number in range(20)]
    ahead = read_ahead(pictures, slow, ahead=3, threads=2)
    threading.Timer(0.05, release.set).start()
    assert next(ahead).reason == "0"
    assert len(begun) <= 4
    assert [each.reason for each in ahead] == [str(number) for number in range(1, 20)]


def test_a_reader_that_fails_oddly_is_a_failure(tmp_path, scene, monkeypatch):
    scene(1).save(tmp_path / "a.png")

    def broken(*args, **keywords):
        raise IndexError("tile out of range\nand more")

    monkeypatch.setattr(Image, "open", broken)
    found = Found(tmp_path / "a.png", "a")
    assert read(found, PREPROCESS, crop=True) == Failure(found, "tile out of range")


def test_files_are_whole_or_as_they_were(tmp_path):
    path = tmp_path / "new" / "x.bin"
    with whole(path) as file:
        file.write(b"first")

    def interrupted():
        with whole(path) as file:
            file.write(b"second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
