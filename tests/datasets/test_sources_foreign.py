"""Pictures and tables of anybody's making: nothing is started, costs are bounded, every error is documented."""

import io
import json
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from dataset_files import encoded, picture, pixels, reason, save
from PIL import Image, ImageOps

from jaxcam import datasets, models
from jaxcam.files._pictures import Failure, Found, Picture, read

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n0 0 moveto\nshowpage\n%%EOF\n"


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def claims(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", b"x\x9c\3\0\0\0\0\1")
        + chunk(b"IEND", b"")
    )


def jpeg(**options):
    file = io.BytesIO()
    picture(1).save(file, "JPEG", **options)
    return file.getvalue()


def told(path, content):
    """What reading the picture says, alone in a data set and for `jaxcam explain`: the same; "" for none."""
    path.write_bytes(content)
    said = reason(datasets.open([str(path)]), 0)
    alone = read(Found(path, "x"), models.preprocess("cifar_resnet20"), crop=True)
    assert isinstance(alone, Failure if said else Picture)
    assert getattr(alone, "reason", "") == said
    return said


def test_eps_starts_nothing(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    assert told(tmp_path / "x.jpg", EPS).startswith("not a picture, or not of a kind that is read: JPEG, PNG")
    assert not ran.exists()


def test_a_picture_that_claims_too_much(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's own, of the same
        said = told(tmp_path / "x.png", claims(178956970, 1))
        assert said == "claims 178956970x1 = 178956970 pixels: of PNG, up to 62500000 pixels are read"
        assert "claims 8000x8000 = 64000000 pixels" in told(tmp_path / "x.png", claims(8000, 8000))


def test_a_tile_larger_than_the_picture(tmp_path):
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 322: 2**26, 323: 16, 324: 8, 325: 100}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(200)
    assert "claims 67108864x16 = " in told(tmp_path / "x.tif", content)


def test_scans_are_counted(tmp_path):
    whole = jpeg(progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    scans = whole.count(b"\xff\xda")
    assert told(tmp_path / "x.jpg", whole[:-2] + last * (100 - scans) + whole[-2:]) == ""
    assert told(tmp_path / "x.jpg", whole[:-2] + last * 400 + whole[-2:]).startswith(
        f"has {400 + scans} scans: "
    )


def test_damaged_metadata_costs_the_orientation_alone(tmp_path):
    assert told(tmp_path / "x.jpg", jpeg(exif=b"Exif\0\0XX\0*\0\0\0\x08")) == ""
    np.testing.assert_array_equal(
        pixels(datasets.open([jpeg(exif=b"Exif\0\0XX\0*\0\0\0\x08")])[0]), pixels(datasets.open([jpeg()])[0])
    )


@pytest.mark.parametrize("way", range(1, 9))
def test_upright_as_pil_turns(way):
    exif = Image.Exif()
    exif[0x0112] = way
    turned = jpeg(exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(turned))))
    record = datasets.open([turned])[0]
    np.testing.assert_array_equal(pixels(record), expected)
    assert record.picture.getexif().get(0x0112, 1) == 1  # it is not turned again


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_conversion_in_bands_changes_nothing(mode, monkeypatch):
    from jaxcam.models import _preprocess

    grey = Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80) * 13)
    clear = picture(3, (80, 60)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((80, 60)))
    image = clear if mode == "RGBA" else grey
    whole = np.asarray(_preprocess.upright_rgb(image))
    monkeypatch.setattr(_preprocess, "_BAND", 7 * 80)
    np.testing.assert_array_equal(np.asarray(_preprocess.upright_rgb(image)), whole)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000"])
@pytest.mark.filterwarnings("ignore")
def test_mutated_pictures(kind):
    rng, whole = np.random.default_rng(0), encoded(1, kind)
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 200), 3):
            content[place] = rng.integers(256)
        source = datasets.open([bytes(content)])
        assert isinstance(reason(source, 0), str)  # Unreadable is all that it raises


def test_memory_that_a_decoder_asks_for_is_that_records_failure(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise MemoryError

    source = datasets.open([encoded(1)])
    monkeypatch.setattr(Image, "open", refuse)
    assert reason(source, 0) == "decoding it takes more memory than there is"


DEEP = "[" * 100_000


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps({"path": "0.png"}) + "\n" + DEEP),
        ("b.jsonl", '{"path": "0.png", "target": ' + "9" * 5000 + "}"),
        ("c.jsonl", '{"path": "0.png", "boxes": [0, 0, 1' + "0" * 400 + ", 3]}"),
        ("d.jsonl", '{"path": "0.png", "target": 4294967296}'),
        ("e.jsonl", '{"path": "0.png"}\n{"path": "\\ud800.png"}'),
        ("a.csv", f'path,boxes\n0.png,"{DEEP}"\n'),
        ("a.csv", 'path,boxes\n0.png,"0'),
        ("a.npy", npy(b"{'descr': 'u1', 'shape': (((((" + b"(" * 500 + b"\n")),
        ("a.npy", npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 'abc\n")),
        ("a.npy", npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 9, 9, 3)}\n")),
        ("a.npz", encoded(1)),
        ("a.npz", npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 3)}\n") + b"abc"),
        ("a.parquet", b"PAR1" + b"\xff" * 40 + b"PAR1"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_tables(tmp_path, name, content):
    save(tmp_path / "0.png")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=name):
        datasets.open(tmp_path / name)


def test_an_npz_that_unpacks_to_more_than_it_may(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((3, 400, 400, 3), np.uint8))
    assert len(datasets.open(tmp_path / "a.npz")) == 3
    monkeypatch.setattr("jaxcam.datasets.sources._arrays._UNPACKED", 1000)
    with pytest.raises(
        ValueError, match=r"a\.npz cannot be read: its arrays take 14401\d\d bytes, more than \d+: unpack"
    ):
        datasets.open(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "about",
    [
        "[]",
        DEEP,
        {"shape": [10**12, 4, 4, 3]},
        {"data_type": "json"},
        {
            "shape": [3, 10**6, 10**6, 3],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 10**6, 10**6, 3]}},
        },
    ],
)
def test_a_damaged_zarr(tmp_path, about):
    import zarr

    group = zarr.open_group(tmp_path / "z", mode="w", zarr_format=3)
    group.create_array("images", shape=(3, 4, 4, 3), dtype="uint8")[:] = 7
    group.create_array("labels", shape=(3,), dtype="int64")[:] = 1
    file = tmp_path / "z" / "images" / "zarr.json"
    file.write_text(about if isinstance(about, str) else json.dumps(json.loads(file.read_text()) | about))
    with pytest.raises(ValueError, match="z"):
        datasets.open(tmp_path / "z")
