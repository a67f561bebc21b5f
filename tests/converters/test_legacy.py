"""The reader of torch's format of before 1.6, against files written by hand; test_torch_files.py has torch's own."""

import pickle
import struct

import numpy as np
import pytest
import torch_zip as tz

import converters

START = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
X = np.arange(24, dtype=np.float32)


def storage(key, dtype, count, view=None):
    (_, kind, key, place, count) = tz.storage(key, dtype, count).identity
    return tz.Outside(("storage", kind, key, place, count, view))


def write(path, saved, storages, *, start=START):
    """`saved`: the object, or its pickle; `storages`: key -> array."""
    parts = [*map(tz.pickled, start), saved if isinstance(saved, bytes) else tz.pickled(saved)]
    parts.append(tz.pickled(list(storages)))
    parts += [struct.pack("<q", x.size) + x.tobytes() for x in storages.values()]
    path.write_bytes(b"".join(parts))
    return path


def test_reads_every_type(tmp_path):
    arrays = {str(n): np.arange(24).reshape(2, 3, 4).astype(dtype) for n, dtype in enumerate(tz.STORAGES)}
    saved = {f"x{key}": tz.tensor(storage(key, x.dtype, x.size), (4, 6), (1, 4)) for key, x in arrays.items()}
    read = converters.read(write(tmp_path / "a.th", {"state_dict": saved, "epoch": 3}, arrays))
    assert read.keys() == saved.keys()
    for key, x in arrays.items():
        assert read[f"x{key}"].dtype == x.dtype
        np.testing.assert_array_equal(read[f"x{key}"], x.reshape(6, 4).T)


def test_views_and_tensors_of_the_first_torches(tmp_path):
    """A storage may be part of another, and a tensor had three things less to say."""
    old = tz.Global("torch._utils", "_rebuild_tensor")
    part = storage("7", np.float32, 24, ("8", 6, 12))
    saved = {
        "part": tz.Call(old, (part, 2, (2, 3), (3, 1))),
        "whole": tz.tensor(storage("7", np.float32, 24), (24,), (1,)),
    }
    read = converters.read(write(tmp_path / "a.pth", saved, {"7": X}))
    np.testing.assert_array_equal(read["part"], X[8:14].reshape(2, 3))
    np.testing.assert_array_equal(read["whole"], X)


def test_what_python_2_saved(tmp_path):
    """Strings are of bytes, and an ordered dict comes with its items."""

    def text(word):
        return tz.Raw(b"U" + bytes([len(word)]) + word.encode())

    kind = tz.Global("torch", "FloatStorage")
    stored = tz.Outside((text("storage"), kind, text("7"), text("cpu"), 24, None))
    items = [[text("conv.weight"), tz.tensor(stored, (24,), (1,))]]
    saved = tz.Call(tz.Global("collections", "OrderedDict"), (items,))
    read = converters.read(write(tmp_path / "a.pth", saved, {"7": X}))
    np.testing.assert_array_equal(read["conv.weight"], X)


SAVED = {"x": tz.tensor(storage("7", np.float32, 24), (24,), (1,))}


@pytest.mark.parametrize(
    ("saved", "storages", "words"),
    [
        ({"x": tz.Call(tz.Global("os", "system"), ("true",))}, {}, r"refused: it asks for os\.system"),
        (tz.pickled(tz.Raw(b"(i__builtin__\nexec\n")), {}, "refused: it asks for the operation INST"),
        (SAVED, {"7": X[:5]}, "damaged or cut short: its storage 7: 5 of 24 values"),
        (SAVED, {"8": X}, "damaged or cut short: its storage 8 does not belong to a tensor"),
        (SAVED, {}, "damaged or cut short: its storage 7 is not there"),
        (
            {"x": tz.tensor(storage("7", np.float32, 24), (25,), (1,))},
            {"7": X},
            "reaches element 24 of storage 7",
        ),
        ({"x": tz.tensor(storage("7", np.float32, -1), (1,), (1,))}, {"7": X}, "said to hold -1 values"),
        (
            {"x": tz.tensor(storage("7", np.float32, 24, ("8", 20, 5)), (5,), (1,))},
            {"7": X},
            "a view of storage 7 is of 5 values from 20 on",
        ),
        ({"x": tz.Outside(("module", "Net", "net.py", "class Net", 1, 2))}, {}, "that is not a storage"),
    ],
)
def test_what_is_refused(tmp_path, saved, storages, words):
    path = write(tmp_path / "bad.pth", saved, storages)
    with pytest.raises(ValueError, match=words) as error:
        converters.read(path)
    assert "bad.pth" in str(error.value)


def test_nothing_in_it_runs(tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    path = write(tmp_path / "bad.pth", pickle.dumps({"x": Attack()}, protocol=2), {})
    with pytest.raises(ValueError, match="refused"):
        converters.read(path)
    assert not (tmp_path / "ran").exists()


def test_other_versions_are_named(tmp_path):
    path = write(tmp_path / "a.pth", SAVED, {"7": X}, start=[START[0], 1002, START[2]])
    with pytest.raises(ValueError, match="its format is 1002"):
        converters.read(path)


def test_cut_files_are_named(tmp_path):
    path = write(tmp_path / "cut.pth", SAVED, {"7": X})
    content = path.read_bytes()
    for length in range(20, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.pth"):
            converters.read(path)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # Python's own, of a damaged string
def test_damaged_files_give_nothing_but_value_errors(tmp_path):
    path = write(tmp_path / "a.pth", {"state_dict": SAVED, "epoch": 3}, {"7": X})
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(15, len(content) - X.nbytes, 2):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            converters.read(path)
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused > 100
