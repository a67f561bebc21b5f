"""Python objects with `len` and `[i]`, Grain's among them, and ArrayRecord files."""

import hashlib
import io

import numpy as np
import pytest
from dataset_files import encoded, names, picture, pixels, reason, save
from PIL import Image

from jaxcam import datasets

PIXELS = np.asarray(picture(1))
FLOATS = np.random.default_rng(1).normal(size=(8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("item", "label", "boxes"),
    [
        (picture(1), None, ()),
        (PIXELS, None, ()),
        (encoded(1), None, ()),
        ((picture(1), 3), 3, ()),
        ((PIXELS, np.int64(3)), 3, ()),
        ((PIXELS, np.array(3)), 3, ()),
        ((PIXELS, -1), None, ()),
        ({"picture": PIXELS}, None, ()),
        ({"image": encoded(1), "class": 7}, 7, ()),
        ({"image": PIXELS, "label": 0, "boxes": [1, 2, 3, 4]}, 0, ((1, 2, 3, 4),)),
        ({"image": PIXELS, "target": 0, "boxes": np.array([[1, 2, 3, 4.5]])}, 0, ((1, 2, 3, 4.5),)),
    ],
)
def test_what_an_item_may_be(item, label, boxes):
    source = datasets.open([item])
    record = source[0]
    np.testing.assert_array_equal(pixels(record), PIXELS)
    assert (record.label, record.boxes) == (label, boxes)
    assert record.path == source.name(0) == "list[0]"
    assert len(record.digest) == 32
    assert (source.kind, source.location, source.classes) == ("sequence", "list", None)


def test_digests_are_those_of_the_bytes_that_came():
    items = [encoded(1), PIXELS, FLOATS, picture(1)]
    expected = [encoded(1), PIXELS.tobytes(), FLOATS.tobytes(), PIXELS.tobytes()]
    found = [record.digest for record in datasets.open(items)]
    assert found == [hashlib.sha256(each).digest() for each in expected]


def test_floats_are_taken_as_they_are():
    np.testing.assert_array_equal(datasets.open([(FLOATS, 1)])[0].picture, FLOATS)


def test_paths(tmp_path):
    path = save(tmp_path / "a.png", 1)
    source = datasets.open([str(path), path, {"path": str(path), "label": 2}, str(tmp_path / "gone.png")])
    for i in range(3):
        np.testing.assert_array_equal(pixels(source[i]), PIXELS)
    assert [source[i].path for i in range(3)] == [str(path)] * 3
    assert (source[2].label, source.name(2)) == (2, "list[2]")
    assert (source.name(3), reason(source, 3)) == (str(tmp_path / "gone.png"), "no such file")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, "TypeError: a record is a picture .*; got NoneType"),
        ({"pixels": 1}, r"TypeError: a record .*; got dict with \['pixels'\]"),
        ((PIXELS, 1, 2), "TypeError: a record is a picture .*; got tuple"),
        ((PIXELS, "fox"), "TypeError: a class must be a whole number; got 'fox'"),
        ((PIXELS, 1.5), "TypeError: a class must be a whole number; got 1.5"),
        ((PIXELS, True), "TypeError: a class must be a whole number; got True"),
        ((PIXELS, -2), "ValueError: a class is 0 or more, or -1 for none; got -2"),
        (
            {"image": PIXELS, "boxes": [[1, 2, 3]]},
            r"ValueError: a box is \[x0, y0, x1, y1\]; got \[1, 2, 3\]",
        ),
        ({"image": PIXELS, "boxes": [[1, 2, np.nan, 4]]}, "ValueError: a box is .* with x0 < x1"),
        ({"image": PIXELS, "boxes": 4}, "ValueError: boxes are rows of x0, y0, x1, y1; got 4"),
        (
            FLOATS.transpose(2, 0, 1),
            r"ValueError: floats are a preprocessed picture .*; got shape \(3, 8, 8\)",
        ),
        (PIXELS.astype(np.int32), "TypeError: expected a uint8 array .*, got int32"),
        (Image.new("RGB", (0, 4)), "ValueError: the picture is empty: 0x4"),
        (Image.new("F", (4, 4)), "ValueError: a picture of floats"),
        (b"no picture", "not a picture"),
        (b"", "is empty"),
    ],
)
def test_bad_items(item, words):
    source = datasets.open([item, PIXELS])
    with pytest.raises(datasets.Unreadable, match=rf"^{words}"):
        source[0]
    np.testing.assert_array_equal(pixels(source[1]), PIXELS)


def test_a_truncated_picture_that_pil_reads_late():
    late = Image.open(io.BytesIO(encoded(1, "JPEG")[:-40]))
    assert reason(datasets.open([late]), 0).startswith("image file is truncated")


@pytest.mark.parametrize("what", [{0: PIXELS}, {1, 2}, 7, None, (i for i in range(3))])
def test_what_is_not_a_data_set(what, unchecked):
    with pytest.raises(TypeError, match=rf"an object with len and .i.; got {type(what).__name__}"):
        datasets.open(what)


def test_mistakes():
    with pytest.raises(ValueError, match=r"list is empty"):
        datasets.open([])
    source = datasets.open([PIXELS])
    assert datasets.open(source) is source
    with pytest.raises(ValueError, match=r"what is open already takes no decode=; it takes none"):
        datasets.open(source, decode=bytes)
    with pytest.raises(ValueError, match=r"a Python object takes no labels=; it takes decode"):
        datasets.open([PIXELS], labels=[1])


def test_decode_makes_a_record_of_an_item():
    source = datasets.open([1, 2], decode=lambda seed: (picture(seed), seed))
    assert [each.label for each in source] == [1, 2]
    np.testing.assert_array_equal(pixels(source[0]), PIXELS)


def test_the_fingerprint_tells_another_number_and_other_paths():
    assert datasets.open([PIXELS]).fingerprint() == datasets.open([PIXELS]).fingerprint()
    assert datasets.open([PIXELS]).fingerprint() != datasets.open([PIXELS] * 2).fingerprint()
    assert datasets.open(["a.png"]).fingerprint() != datasets.open(["b.png"]).fingerprint()


def test_the_fingerprint_tells_other_items_of_the_same_number():
    there = datasets.open([(PIXELS, 1)]).fingerprint()
    assert there == datasets.open([(PIXELS.copy(), 1)]).fingerprint()
    assert there != datasets.open([(PIXELS, 2)]).fingerprint()
    assert there != datasets.open([(255 - PIXELS, 1)]).fingerprint()
    assert datasets.open([None]).fingerprint() == datasets.open([None]).fingerprint()


def test_a_grain_map_dataset():
    grain = pytest.importorskip("grain")
    lazy = grain.MapDataset.source([1, 2, 3]).map(
        lambda seed: {"image": np.asarray(picture(seed)), "label": seed}
    )
    source = datasets.open(lazy)
    assert [each.label for each in source] == [1, 2, 3]
    np.testing.assert_array_equal(pixels(source[0]), PIXELS)
    with pytest.raises(IndexError):  # grain itself begins again
        source[3]


@pytest.fixture
def write_records():
    module = pytest.importorskip("array_record.python.array_record_module")

    def write(path, records):
        writer = module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        for each in records:
            writer.write(each)
        writer.close()
        return path

    return write


@pytest.mark.parametrize("name", ["set.array_record", "set.arrayrecord"])
def test_array_record(tmp_path, write_records, name):
    source = datasets.open(
        write_records(tmp_path / name, [encoded(0), encoded(1, "JPEG"), b"none", encoded(3)])
    )
    assert (source.kind, source.location) == ("arrayrecord", str(tmp_path / name))
    assert names(source) == [f"{name}[{i}]" for i in range(4)]
    for i in (0, 3):
        np.testing.assert_array_equal(pixels(source[i]), np.asarray(picture(i)))
        assert source[i].digest == hashlib.sha256(encoded(i)).digest()
    assert reason(source, 2).startswith("not a picture, or not of a kind that is read: JPEG")


def test_array_record_of_anything(tmp_path, write_records):
    path = write_records(tmp_path / "set.array_record", [bytes([seed]) for seed in range(3)])
    source = datasets.open(
        path, decode=lambda data: {"image": picture(data[0]), "label": data[0], "path": "x.png"}
    )
    assert [(each.label, each.path) for each in source] == [(0, "x.png"), (1, "x.png"), (2, "x.png")]
    np.testing.assert_array_equal(pixels(source[1]), PIXELS)


def test_a_folder_of_array_records(tmp_path, write_records):
    for number in (10, 9):
        write_records(tmp_path / f"set-{number}.array_record", [encoded(number)])
    source = datasets.open(tmp_path)
    assert len(source) == 2
    np.testing.assert_array_equal(pixels(source[0]), np.asarray(picture(9)))
    before = source.fingerprint()
    write_records(tmp_path / "set-11.array_record", [encoded(1)])
    assert datasets.open(tmp_path).fingerprint() != before


def test_a_damaged_array_record(tmp_path, write_records):
    path = write_records(tmp_path / "set.array_record", [encoded(seed) for seed in range(4)])
    data = bytearray(path.read_bytes())
    where = data.index(encoded(2)[40:80])
    data[where : where + 20] = bytes(20)
    path.write_bytes(data)
    source = datasets.open(path)
    assert [bool(reason(source, i)) for i in range(4)] == [False, False, True, False]


def test_what_is_not_an_array_record(tmp_path, monkeypatch):
    pytest.importorskip("array_record")
    (tmp_path / "set.array_record").write_bytes(b"text" * 50_000)
    with pytest.raises(ValueError, match=r"set.array_record is not an ArrayRecord: "):
        datasets.open(tmp_path / "set.array_record")
    monkeypatch.setitem(__import__("sys").modules, "array_record.python.array_record_data_source", None)
    with pytest.raises(ImportError, match=r"array_record: pip install 'jaxcam\[data\]'"):
        datasets.open(tmp_path / "set.array_record")
