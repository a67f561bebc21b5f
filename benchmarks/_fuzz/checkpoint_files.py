"""Small checkpoints of every format, valid but for a header that may be changed."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .checkpoint_mutations import mutated
from .mutations import write_member

STORAGES = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "u1": "ByteStorage",
}


def _arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    names = [
        "conv1.weight",
        "bn.running_mean",
        "fc.bias",
        "module.w",
        "pre_logits.fc1.weight",
        "s1.b1.conv1.conv.weight",
    ]
    arrays = {}
    for name in rng.permutation(names)[: rng.integers(1, 5)]:
        shape = tuple(rng.integers(0, 5, rng.integers(0, 5)).tolist())
        arrays[str(name)] = rng.integers(0, 200, shape).astype(list(STORAGES)[rng.integers(len(STORAGES))])
    return arrays


class _Global:
    """Stands for a name in a pickle, whether or not it can be imported."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self):
        """Nothing calls it: pickle takes what has this for a function."""


class _Pickler(pickle._Pickler):  # the one written in Python, which can be taught
    """Writes names as they are and storages as objects outside the pickle."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # pyright: ignore[reportAttributeAccessIssue]

    def persistent_id(self, obj):
        return obj.identity if isinstance(obj, _Outside) else None

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    dispatch[_Global] = save_name


class _Outside:
    def __init__(self, *identity):
        self.identity = identity


class _Call:
    def __init__(self, name: tuple[str, str], *arguments):
        self.name, self.arguments = name, arguments

    def __reduce__(self):
        return _Global(*self.name), self.arguments


def _pickled(value, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol).dump(value)
    return file.getvalue()


def _torch(rng: np.random.Generator, *, old: bool) -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle of a state_dict, and the values of its storages."""
    state, data = {}, {}
    for number, (name, x) in enumerate(_arrays(rng).items()):
        kind, key = _Global("torch", STORAGES[x.dtype.str[1:]]), str(number)
        identity = ("storage", kind, key, "cpu", x.size, *([None] if old else []))
        strides = tuple(np.cumprod((1, *x.shape[:0:-1]))[::-1].tolist()) if x.ndim else ()
        hooks = _Call(("collections", "OrderedDict"))
        state[name] = _Call(
            ("torch._utils", "_rebuild_tensor_v2"), _Outside(*identity), 0, x.shape, strides, False, hooks
        )
        data[key] = x
    nested = {"state_dict": state, "epoch": 3, "best": (1.5, None, [True])} if rng.integers(2) else state
    return _pickled(nested, 2 if old else int(rng.integers(2, 6))), data


def _zip(rng: np.random.Generator) -> bytes:
    content, data = _torch(rng, old=False)
    for _ in range(max(0, rng.integers(-1, 3))):  # inside the archive, whose checksums are right then
        content = mutated(rng, content)[0]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        write_member(archive, "archive/data.pkl", content)
        write_member(archive, "archive/byteorder", rng.choice([b"little", b"big"]))
        for key, each in data.items():
            write_member(archive, f"archive/data/{key}", each.tobytes())
    return file.getvalue()


def _legacy(rng: np.random.Generator) -> bytes:
    content, data = _torch(rng, old=True)
    start = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    stored = b"".join(struct.pack("<q", each.size) + each.tobytes() for each in data.values())
    return b"".join([*map(_pickled, start), content, _pickled(list(data)), stored])


def _npz(rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name, x in _arrays(rng).items():
            member = io.BytesIO()
            np.save(member, x)
            content = member.getvalue()
            for _ in range(rng.integers(0, 2)):
                content = mutated(rng, content)[0]
            write_member(archive, f"{name}.npy", content)
    return file.getvalue()


def _safetensors(rng: np.random.Generator) -> bytes:
    from safetensors.numpy import save

    content = save(_arrays(rng), metadata={"format": "pt"})
    (length,) = struct.unpack_from("<Q", content)
    head, rest = content[8 : 8 + length], content[8 + length :]
    for _ in range(rng.integers(0, 2)):  # the header alone, with its length right
        head = mutated(rng, head)[0]
    return struct.pack("<Q", len(head)) + head + rest


FORMATS: dict[str, tuple[str, Callable[[np.random.Generator], bytes]]] = {
    "zip": (".pth", _zip),
    "legacy": (".th", _legacy),
    "npz": (".npz", _npz),
    "safetensors": (".safetensors", _safetensors),
}
