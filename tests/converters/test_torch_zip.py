"""The reader of torch's zip format, against files written by hand: what it reads and what it refuses."""

import contextlib
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch_zip as tz

import converters

ARRAYS = [np.arange(24).reshape(2, 3, 4).astype(dtype) for dtype in tz.STORAGES]


@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: x.dtype.name)
def test_reads_every_type(tmp_path, x):
    read = converters.read(tz.save(tmp_path / "a.pth", {"x": x, "scalar": x[0, 0, 1], "empty": x[:, :0]}))
    for name, expected in {"x": x, "scalar": x[0, 0, 1], "empty": x[:, :0]}.items():
        assert read[name].dtype == expected.dtype
        assert read[name].shape == expected.shape
        np.testing.assert_array_equal(read[name], expected)


@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: x.dtype.name)
def test_swaps_the_bytes_of_the_other_order(tmp_path, x):
    swapped = x.view(f"u{x.itemsize}").byteswap().tobytes()
    path = tz.write(
        tmp_path / "a.pth", tz.pickled({"x": tz.contiguous("0", x)}), {"0": swapped}, order=b"big"
    )
    read = converters.read(path)["x"]
    assert read.dtype == x.dtype
    np.testing.assert_array_equal(read, x)


def test_files_without_a_byte_order_are_little(tmp_path):
    x = ARRAYS[1]
    path = tz.write(
        tmp_path / "a.pth", tz.pickled({"x": tz.contiguous("0", x)}), {"0": x.tobytes()}, order=None
    )
    np.testing.assert_array_equal(converters.read(path)["x"], x)


def test_views_of_one_storage(tmp_path):
    x = np.arange(24, dtype=np.float32)
    whole = tz.storage("0", x.dtype, 24)
    state = {
        "transposed": tz.tensor(whole, (4, 6), (1, 4)),
        "late": tz.parameter(tz.tensor(whole, (2, 2), (2, 1), 20)),
        "every_third": tz.tensor(whole, (8,), (3,), 2),
        "expanded": tz.tensor(whole, (5, 2), (0, 1), 3),
        "last": tz.tensor(whole, (), (), 23),
    }
    read = converters.read(tz.write(tmp_path / "a.pth", tz.pickled(state), {"0": x.tobytes()}))
    np.testing.assert_array_equal(read["transposed"], x.reshape(6, 4).T)
    np.testing.assert_array_equal(read["late"], x[20:].reshape(2, 2))
    np.testing.assert_array_equal(read["every_third"], x[2::3])
    np.testing.assert_array_equal(read["expanded"], np.broadcast_to(x[3:5], (5, 2)))
    assert read["last"].shape == ()
    assert read["last"] == 23


def refused(tmp_path, content: bytes, match: str):
    path = tz.write(tmp_path / "evil.pth", content, {})
    with pytest.raises(ValueError, match=match) as error:
        converters.read(path)
    assert "evil.pth" in str(error.value)


class Runs:
    """Pickles as a call, the way attacks do."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state_dict": {"w": x}}, lambda x: [(x,)]])
def test_refuses_calls_and_runs_nothing(tmp_path, protocol, wrap):
    trace = tmp_path / "trace"
    calls = {
        f"{os.system.__module__}.system": Runs(os.system, f"touch {trace}"),
        "builtins.eval|__builtin__.eval": Runs(eval, f"open({str(trace)!r}, 'w')"),
        "builtins.getattr|__builtin__.getattr": Runs(getattr, Runs(os.system, f"touch {trace}"), "real"),
    }
    for name, call in calls.items():
        refused(tmp_path, pickle.dumps(wrap(call), protocol=protocol), name)
        assert not trace.exists()
        # the trap works: Python's own reader falls into it
    pickle.loads(pickle.dumps(calls["builtins.eval|__builtin__.eval"], protocol=protocol)).close()
    assert trace.exists()


@pytest.mark.parametrize(
    "name",
    ["posix.system", "torch.load", "torch._utils.os.system", "torch.storage._load_from_bytes", "numpy.load"],
)
def test_refuses_names_that_no_state_dict_needs(tmp_path, name):
    module, _, function = name.rpartition(".")
    refused(tmp_path, tz.pickled({"w": tz.Call(tz.Global(module, function), ("x",))}), name)
    refused(tmp_path, tz.pickled({"w": tz.Global(module, function)}), name)  # naming alone is refused


def test_a_whole_pickled_model_is_refused_with_advice(tmp_path):
    refused(
        tmp_path, tz.pickled(tz.Call(tz.Global("torchvision.models.resnet", "ResNet"), ())), "state_dict()"
    )


@pytest.mark.parametrize(
    ("operations", "match"),
    {
        "inst": (b"(iposix\nsystem\n", "INST"),
        "object": (b"(cposix\nsystem\no", "posix.system"),
        "extension": (b"\x82\x01", "EXT1"),
        "newobj": (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        "persistent by text": (b"Pposix.system\n", "PERSID"),
        "calls a storage": (b"ctorch\nFloatStorage\n)R", "calls a"),
        "calls a string": (b"X\x03\x00\x00\x00abc)R", "calls a str"),
        "fills a tensor": (b"ccollections\nOrderedDict\nK\x01K\x02s", "damaged"),
        "tuple as key": (b"})K\x02s", "key"),
        "empty stack": (b"R", "damaged"),
        "no such memo": (b"h\x07", "damaged"),
        "open mark": (b"t", "damaged"),
        "odd items": (b"}(K\x01u", "evil"),
    }.values(),
)
def test_refuses_operations_that_no_state_dict_needs(tmp_path, operations, match):
    refused(tmp_path, tz.pickled(tz.Raw(operations)), match)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((4,), (1,), -1),
        ((2,), (-1,), 1),
        ((-2,), (1,), 0),
        ((2, 2), (3, 1), 0),
        ((2, 2), (1,), 0),
        ((), (), 4),
        ((2**62,), (1,), 0),
        ((2**70,), (0,), 0),
        ((0, 2**70), (1, 1), 0),
        ((True,), (1,), 0),
        ((2.0,), (1,), 0),
        ((2,), (1,), "0"),
        ([2], [1], 0),
        ((1,) * 100, (1,) * 100, 0),
    ],
)
def test_refuses_tensors_outside_their_storage(tmp_path, size, stride, offset):
    x = np.arange(4, dtype=np.float32)
    content = tz.pickled({"x": tz.tensor(tz.storage("0", x.dtype, 4), size, stride, offset)})
    path = tz.write(tmp_path / "a.pth", content, {"0": x.tobytes()})
    with pytest.raises(ValueError, match=r"a\.pth"):
        converters.read(path)


def test_says_how_far_a_tensor_reaches(tmp_path):
    for size, stride, offset, last in [((4,), (1,), 1, 4), ((2, 2), (3, 1), 1, 5), ((), (), 4, 4)]:
        content = tz.pickled({"x": tz.tensor(tz.storage("0", np.float32, 4), size, stride, offset)})
        path = tz.write(tmp_path / "a.pth", content, {"0": b"\0" * 16})
        with pytest.raises(ValueError, match=f"reaches element {last} of storage 0, which has 4"):
            converters.read(path)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in what has become a string
def test_damaged_pickles_give_nothing_but_value_errors(tmp_path):
    x = np.arange(4, dtype=np.float32)
    state = {
        "state_dict": {"a": tz.contiguous("0", x), "b": tz.parameter(tz.contiguous("0", x))},
        "epoch": [1, (2.5,)],
    }
    content = tz.pickled(state)
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        damaged = bytearray(content)
        for position in rng.integers(len(content), size=rng.integers(1, 3)):
            damaged[position] = rng.integers(256)
        path = tz.write(tmp_path / "a.pth", bytes(damaged), {"0": x.tobytes()})
        try:
            converters.read(path)
            outcomes["read"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > outcomes["read"] > 0


def test_refuses_what_is_not_a_storage(tmp_path):
    data = {"0": b"\0" * 16}
    good = ("storage", tz.Global("torch", "FloatStorage"), "0", "cpu", 4)
    bad = {
        "count": (*good[:4], 5),
        "negative": (*good[:4], -4),
        "key": (*good[:2], "../0", *good[3:]),
        "no name": (*good[:2], 0, *good[3:]),
        "kind": ("module", *good[1:]),
        "type": ("storage", "torch.FloatStorage", *good[2:]),
        "short": good[:3],
    }
    for name, identity in {"good": good, **bad}.items():
        content = tz.pickled({"x": tz.tensor(tz.Outside(identity), (4,), (1,))})
        path = tz.write(tmp_path / "a.pth", content, data)
        if name == "good":
            assert converters.read(path)["x"].shape == (4,)
        else:
            with pytest.raises(ValueError, match=r"a\.pth"):
                converters.read(path)
    for stored in (None, 3, "0", np.float32):
        stored = tz.Global("torch", "FloatStorage") if stored is np.float32 else stored
        path = tz.write(tmp_path / "a.pth", tz.pickled({"x": tz.tensor(stored, (4,), (1,))}), data)
        with pytest.raises(ValueError, match=r"a\.pth"):
            converters.read(path)


def test_refuses_conjugates(tmp_path):
    stored = tz.storage("0", np.float32, 4)
    path = tz.write(
        tmp_path / "a.pth",
        tz.pickled({"x": tz.tensor(stored, (4,), (1,), 0, {"conj": True})}),
        {"0": b"\0" * 16},
    )
    with pytest.raises(ValueError, match="conj"):
        converters.read(path)


def test_truncated_anywhere_is_an_error_with_the_file_name(tmp_path):
    path = tz.save(tmp_path / "cut.pth", {f"layer{i}.weight": ARRAYS[1] for i in range(3)})
    content = path.read_bytes()
    for length in (1, 3, 30, len(content) // 3, len(content) // 2, len(content) - 30, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.pth"):
            converters.read(path)


def test_damaged_archives_give_nothing_but_value_errors(tmp_path):
    path = tz.save(tmp_path / "a.pth", {"x": ARRAYS[1]})
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    directory = content.index(b"PK\x01\x02")
    for position in rng.integers(directory, len(content), size=300):
        path.write_bytes(content[:position] + rng.bytes(1) + content[position + 1 :])
        with contextlib.suppress(ValueError):  # what is left unharmed is read
            np.testing.assert_array_equal(converters.read(path)["x"], ARRAYS[1])


def test_a_flipped_byte_is_noticed(tmp_path):
    path = tz.save(tmp_path / "a.pth", {"x": ARRAYS[1]})
    content = bytearray(path.read_bytes())
    content[content.index(ARRAYS[1].tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pth is damaged .*CRC"):
        converters.read(path)


def test_refuses_archives_that_torch_does_not_write(tmp_path):
    content = tz.pickled({"x": tz.contiguous("0", ARRAYS[1])})
    data = {"0": ARRAYS[1].tobytes()}
    with pytest.raises(ValueError, match="compressed"):
        converters.read(tz.write(tmp_path / "a.pth", content, data, packed=True))
    with pytest.raises(ValueError, match="byte order is b'middle'"):
        converters.read(tz.write(tmp_path / "a.pth", content, data, order=b"middle"))
    with zipfile.ZipFile(tz.write(tmp_path / "a.pth", content, data), "a") as file:
        file.writestr("other/data.pkl", content)
    with pytest.raises(ValueError, match=r"2 records named data\.pkl"):
        converters.read(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("holiday.txt", "photos")
    with pytest.raises(ValueError, match=r"0 records named data\.pkl"):
        converters.read(tmp_path / "b.zip")
