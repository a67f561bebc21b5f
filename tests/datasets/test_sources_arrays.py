"""Arrays as data sets: NumPy files, zarr, and arrays in memory."""

import hashlib

import jax.numpy as jnp
import numpy as np
import pytest
from dataset_files import names, pixels, reason
from PIL import Image

from jaxcam import datasets

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
FLOATS = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype(np.float32)
LABELS = np.array([3, 1, -1, 0, 2], np.int16)


def written(path, pictures, labels=None):
    """A data set of the kind that the name says."""
    if path.suffix == ".npy":
        np.save(path, pictures)
    elif path.suffix == ".npz":
        np.savez(path, images=pictures, **({} if labels is None else {"labels": labels}))
    else:
        import zarr

        group = zarr.create_group(path, zarr_format=2 if "v2" in path.name else 3)
        group.create_array("images", data=pictures, chunks=(2, *pictures.shape[1:]))
        if labels is not None:
            group.create_array("labels", data=labels)
    return path


KINDS = ["set.npy", "set.npz", "v2.zarr", "v3.zarr"]


@pytest.mark.parametrize("name", KINDS)
def test_pictures_as_they_were_written(tmp_path, name):
    source = datasets.open(written(tmp_path / name, PIXELS))
    assert len(source) == 5
    assert names(source)[::4] == [f"{name}[0]", f"{name}[4]"]
    for i, record in enumerate(source):
        np.testing.assert_array_equal(pixels(record), PIXELS[i])
        assert record.digest == hashlib.sha256(PIXELS[i].tobytes()).digest()
        assert record.path == source.name(i)
        assert record.label is None
    assert (source.kind, source.location) == ("array", str(tmp_path / name))


@pytest.mark.parametrize("name", KINDS)
def test_floats_are_taken_as_they_are(tmp_path, name):
    for record, image in zip(datasets.open(written(tmp_path / name, FLOATS)), FLOATS, strict=True):
        assert record.picture.dtype == np.float32
        np.testing.assert_array_equal(record.picture, image)


@pytest.mark.parametrize("name", ["set.npz", "v2.zarr", "v3.zarr"])
def test_labels_beside_the_pictures(tmp_path, name):
    source = datasets.open(written(tmp_path / name, PIXELS, LABELS))
    assert [each.label for each in source] == [3, 1, None, 0, 2]
    given = datasets.open(tmp_path / name, labels=np.arange(5))
    assert [each.label for each in given] == [0, 1, 2, 3, 4]
    assert source.fingerprint() != given.fingerprint()


def test_labels_in_a_file(tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)
    source = datasets.open(written(tmp_path / "set.npy", PIXELS), labels=tmp_path / "labels.npy")
    assert [each.label for each in source] == [3, 1, None, 0, 2]


def test_an_npy_is_mapped_not_read(tmp_path):
    source = datasets.open(written(tmp_path / "set.npy", PIXELS))
    assert isinstance(source.pictures, np.memmap)


def test_a_zarr_array_without_a_group(tmp_path):
    import zarr

    zarr.create_array(tmp_path / "a.zarr", data=PIXELS)
    source = datasets.open(tmp_path / "a.zarr")
    np.testing.assert_array_equal(pixels(source[4]), PIXELS[4])
    lazy = datasets.open(zarr.open_array(tmp_path / "a.zarr", mode="r"))
    np.testing.assert_array_equal(pixels(lazy[4]), PIXELS[4])


def test_a_damaged_chunk_of_a_zarr_is_bad_records(tmp_path):
    chunk = written(tmp_path / "v3.zarr", PIXELS) / "images" / "c" / "1" / "0" / "0" / "0"
    chunk.write_bytes(b"damaged")
    source = datasets.open(tmp_path / "v3.zarr")
    assert [bool(reason(source, i)) for i in range(5)] == [False, False, True, True, False]
    assert reason(source, 2).startswith("ValueError: ")
    np.testing.assert_array_equal(pixels(source[4]), PIXELS[4])


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_an_array_in_memory(make):
    source = datasets.open(make(PIXELS), labels=LABELS)
    np.testing.assert_array_equal(pixels(source[2]), PIXELS[2])
    assert source[0].label == 3
    assert source.name(1).endswith("[1]")


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 4)])
def test_grey_and_transparent_pictures(shape):
    pictures = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    expected = Image.fromarray(pictures[3]).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", expected.size, "white"), expected).convert("RGB")
    np.testing.assert_array_equal(pixels(datasets.open(pictures)[3]), np.asarray(expected))


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_floats_of_other_widths(dtype):
    image = datasets.open(np.asarray(FLOATS).astype(jnp.dtype(dtype)))[1].picture
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, FLOATS[1], rtol=1e-2)


def test_the_fingerprint_tells_other_pictures(tmp_path):
    found = [
        datasets.open(written(tmp_path / "set.npy", each)).fingerprint() for each in (PIXELS, 255 - PIXELS)
    ]
    found.append(datasets.open(written(tmp_path / "set.npy", PIXELS[:4])).fingerprint())
    assert len(set(found)) == 3
    assert datasets.open(written(tmp_path / "set.npy", PIXELS)).fingerprint() == found[0]


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (FLOATS.transpose(0, 3, 1, 2), r"got float32 \(5, 3, 8, 8\); channels come last: transpose"),
        (PIXELS.astype(np.int64), r"got int64 \(5, 8, 6, 3\)$"),
        (FLOATS[..., 0], r"preprocessed floats \(N, H, W, 3\); got float32 \(5, 8, 8\)$"),
        (PIXELS[0, 0], r"got uint8 \(6, 3\)"),
        (PIXELS[:0], r"is empty: its shape is \(0, 8, 6, 3\)"),
        (PIXELS[:, :0], r"is empty: its shape is \(5, 0, 6, 3\)"),
        (np.array(["a.png", "b.png"]), "got <U5"),
    ],
)
def test_arrays_that_are_no_pictures(pictures, words):
    with pytest.raises(ValueError, match=words):
        datasets.open(pictures)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:4], r"labels of 5 pictures are as many whole numbers; got int16 \(4,\)"),
        (LABELS.astype(float), "got float64"),
        (LABELS - 5, "a class is 0 or more, or -1 for none; got -6"),
    ],
)
def test_labels_that_do_not_fit(labels, words):
    with pytest.raises(ValueError, match=words):
        datasets.open(PIXELS, labels=labels)


def test_files_that_are_no_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", imges=PIXELS, other=LABELS)
    with pytest.raises(ValueError, match=r"a.npz: no array 'images'; did you mean 'imges'"):
        datasets.open(tmp_path / "a.npz")
    for name in ("text.npy", "text.npz"):
        (tmp_path / name).write_text("text")
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            datasets.open(tmp_path / name)
    np.save(tmp_path / "objects.npy", np.array([None, {}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects.npy cannot be read: .*objects"):
        datasets.open(tmp_path / "objects.npy")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"node_type": "array"}')
    with pytest.raises(ValueError, match=r"a.zarr is not a zarr array"):
        datasets.open(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"node_type": "group"}')
    with pytest.raises(ValueError, match=r"a.zarr: no array 'images'"):
        datasets.open(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=r"an array takes no classes=; it takes labels"):
        datasets.open(PIXELS, classes=["a"])
