"""Bad records: each is Unreadable for its own reason, and its neighbours are as they were."""

import errno
import hashlib
import io
import os

import numpy as np
import pytest
from dataset_files import encoded, picture, pixels, reason, save
from PIL import Image

from jaxcam import datasets


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


BAD = {
    "text.jpg": (b"no picture", "not a picture, or not of a kind that is read"),
    "empty.jpg": (b"", "is empty"),
    "truncated.jpg": (encoded(1, "JPEG")[:-40], r"image file is truncated \(\d+ bytes not processed\)"),
    "truncated.png": (encoded(1)[:-40], "image file is truncated|Truncated File Read"),
    "head.jpg": (encoded(1, "JPEG")[:12], "not a picture|Truncated File Read"),
    "floats.tif": (
        saved(Image.new("F", (4, 4)), "TIFF"),
        r"a picture of floats \(mode 'F'\) has no known range",
    ),
    "deep.tif": (
        saved(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"),
        "expected 16-bit grey values, got 70000 to 70000",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file(tmp_path, name):
    content, words = BAD[name]
    save(tmp_path / "a.png", 1)
    (tmp_path / name).write_bytes(content)
    save(tmp_path / "z.png", 2)
    source = datasets.open(tmp_path)
    with pytest.raises(datasets.Unreadable, match=rf"^({words})") as caught:
        source[1]
    assert caught.value.digest == hashlib.sha256(content).digest()
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(pixels(source[0]), np.asarray(picture(1)))
    np.testing.assert_array_equal(pixels(source[2]), np.asarray(picture(2)))


def test_a_decompression_bomb(tmp_path, monkeypatch):
    save(tmp_path / "bomb.png")
    source = datasets.open(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 40 // 2 - 1)
    assert "exceeds limit of 1918 pixels, could be decompression bomb" in reason(source, 0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 40)
    assert reason(source, 0) == ""


def test_a_file_that_vanishes(tmp_path):
    for name in "ab":
        save(tmp_path / f"{name}.png")
    source = datasets.open(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(datasets.Unreadable, match=r"^no such file$") as caught:
        source[0]
    assert caught.value.digest == b""
    (tmp_path / "a.png").mkdir()
    assert reason(source, 0) == "is a folder"
    (tmp_path / "a.png").rmdir()
    os.mkfifo(tmp_path / "a.png")
    assert reason(source, 0) == "is a pipe or a device"
    assert reason(source, 1) == ""
    assert len(source.fingerprint()) == 64


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16"])
def test_modes_that_can_be_rgb(tmp_path, mode):
    grey = picture(1).convert("L").convert("RGB")
    image = Image.fromarray(np.asarray(grey.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or grey.convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    (record,) = list(datasets.open(tmp_path))
    assert record.picture.mode == "RGB"
    if mode not in ("1", "P"):
        np.testing.assert_allclose(pixels(record).astype(int), np.asarray(grey).astype(int), atol=1)


def test_a_turned_picture_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture(2).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    (record,) = list(datasets.open(tmp_path))
    np.testing.assert_array_equal(pixels(record), np.asarray(picture(2)))


class Broken:
    """A data set whose items raise what they are told to."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, i):
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("picture"), "KeyError: 'picture'"),
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line"),
        (StopIteration(), "StopIteration:"),
        (IndexError("out"), "IndexError: out"),
        (OSError(errno.EIO, "Input/output error"), r"OSError: \[Errno 5\] Input/output error"),
        (MemoryError("no more"), "needs more memory than there is"),
        (datasets.Unreadable("as it says"), "as it says"),
    ],
)
def test_what_a_users_data_set_raises_is_the_reason(error, words):
    with pytest.raises(datasets.Unreadable, match=rf"^{words}$"):
        datasets.open(Broken(error))[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EMFILE, "Too many open files")])
def test_the_machines_shortages_are_no_bad_record(error):
    with pytest.raises(type(error)) as caught:
        datasets.open(Broken(error))[0]
    assert caught.value is error


def test_too_many_open_files_is_not_a_bad_file(tmp_path, monkeypatch):
    save(tmp_path / "a.png")
    source = datasets.open(tmp_path)

    def refuse(*arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(OSError, match=r"Too many open files"):
        source[0]


@pytest.mark.realdata
def test_the_truncated_kangaroo(data):
    source = datasets.open(data / "boxes" / "kangaroo")
    bad = [source.name(i) for i in range(len(source)) if reason(source, i)]
    assert bad == ["images/00090.jpg"]
    assert reason(source, names_index(source, bad[0])) == "image file is truncated (20 bytes not processed)"


def names_index(source, name):
    return next(i for i in range(len(source)) if source.name(i) == name)
