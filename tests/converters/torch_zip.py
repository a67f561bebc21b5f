"""Writes torch's zip format by hand, so that its reader is tested where torch is not installed."""

import struct
import zipfile
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

STORAGES = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.int32): "IntStorage",
    np.dtype(np.int16): "ShortStorage",
    np.dtype(np.int8): "CharStorage",
    np.dtype(np.uint8): "ByteStorage",
    np.dtype(np.bool_): "BoolStorage",
}


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: Any
    arguments: tuple


class Outside(NamedTuple):
    """Something kept outside the pickle."""

    identity: tuple


class Raw(NamedTuple):
    """Operations as they are."""

    operations: bytes


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2, whatever the names in it stand for."""
    return b"\x80\x02" + _operations(value) + b"."


def _operations(value: Any) -> bytes:
    match value:
        case Raw(operations):
            return operations
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return _operations(function) + _operations(arguments) + b"R"
        case Outside(identity):
            return _operations(identity) + b"Q"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(digits)]) + digits
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(_operations, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_operations, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_operations(part) for item in value.items() for part in item) + b"u"
    raise TypeError(type(value))


def storage(key: str, dtype: Any, count: Any) -> Outside:
    return Outside(("storage", Global("torch", STORAGES[np.dtype(dtype)]), key, "cpu", count))


def tensor(stored: Any, size: Any, stride: Any, offset: Any = 0, *more: Any) -> Call:
    hooks = Call(Global("collections", "OrderedDict"), ())
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"), (stored, offset, size, stride, False, hooks, *more)
    )


def parameter(value: Call) -> Call:
    hooks = Call(Global("collections", "OrderedDict"), ())
    return Call(Global("torch._utils", "_rebuild_parameter"), (value, True, hooks))


def contiguous(key: str, x: np.ndarray) -> Call:
    strides = tuple(step // x.itemsize for step in np.ascontiguousarray(x).strides) if x.ndim else ()
    return tensor(storage(key, x.dtype, x.size), x.shape, strides)


def write(path, pickle: bytes, data: dict[str, bytes], *, order: bytes | None = b"little", packed=False):
    """A file as `torch.save` writes it; returns its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickle)
        if order is not None:
            file.writestr("archive/byteorder", order)
        for key, content in data.items():
            file.writestr(f"archive/data/{key}", content)
        file.writestr("archive/version", b"3\n")
    return path


def save(path, arrays: dict[str, np.ndarray]):
    """A state_dict of contiguous arrays; returns its path."""
    keys = {name: str(number) for number, name in enumerate(arrays)}
    state = {name: contiguous(keys[name], x) for name, x in arrays.items()}
    return write(path, pickled(state), {keys[name]: x.tobytes() for name, x in arrays.items()})
