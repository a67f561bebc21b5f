"""Reads the zip files that `torch.save` writes, without torch: a pickle and a record of bytes per storage."""

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ._pickle import interpret

_STORAGES = {
    "torch.DoubleStorage": np.dtype(np.float64),
    "torch.FloatStorage": np.dtype(np.float32),
    "torch.HalfStorage": np.dtype(np.float16),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch.LongStorage": np.dtype(np.int64),
    "torch.IntStorage": np.dtype(np.int32),
    "torch.ShortStorage": np.dtype(np.int16),
    "torch.CharStorage": np.dtype(np.int8),
    "torch.ByteStorage": np.dtype(np.uint8),
    "torch.BoolStorage": np.dtype(np.bool_),
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    buffer: bytes


def read_zip(path: Path) -> Any:
    """The object that was saved, its tensors as numpy arrays.

    The arrays are read-only views; those of one storage share its memory. Bytes are in native order.

    Raises:
        ValueError: the pickle asks for more than arrays (the message names it), a tensor reaches outside its
            storage, or the file is damaged.
    """
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"holds {len(pickles)} records named data.pkl, and torch.save writes one")
        if packed := [info.filename for info in file.infolist() if info.compress_type != zipfile.ZIP_STORED]:
            raise ValueError(f"its record {packed[0]} is compressed, and torch.save compresses none")
        root = pickles[0].removesuffix("data.pkl")
        order = file.read(root + "byteorder") if root + "byteorder" in names else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"its byte order is {order[:20]!r}, and only little and big are known")
        storages: dict[tuple[str, np.dtype], _Storage] = {}

        def storage(identity: Any) -> _Storage:
            kind, dtype, key, _place, count = identity
            if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
                raise TypeError("an object outside the pickle that is no storage")
            if (key, dtype) not in storages:
                buffer = file.read(f"{root}data/{key}")
                if not _is_size(count) or len(buffer) != count * dtype.itemsize:
                    raise ValueError(f"its storage {key} holds {len(buffer)} bytes, not {count} of {dtype}")
                if order == b"big":
                    buffer = np.frombuffer(buffer, f"u{dtype.itemsize}").byteswap().tobytes()
                storages[key, dtype] = _Storage(key, dtype, buffer)
            return storages[key, dtype]

        return interpret(file.read(pickles[0]), names=_STORAGES, functions=_FUNCTIONS, persistent=storage)


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None) -> np.ndarray:
    """A view of `storage`; `offset` and `stride` count elements."""
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise TypeError("a tensor without storage, size or stride")
    if len(size) != len(stride) or not all(map(_is_size, (offset, *size, *stride))):
        raise ValueError(f"a tensor has offset {offset}, size {size} and stride {stride}")
    if metadata:
        raise ValueError(
            f"a tensor is marked {', '.join(map(str, metadata))}; resolve it in torch before saving"
        )
    if math.prod(size) == 0:
        return np.zeros(size, storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = len(storage.buffer) // storage.dtype.itemsize
    if last >= count:
        raise ValueError(f"a tensor reaches element {last} of storage {storage.key}, which has {count}")
    width = storage.dtype.itemsize
    steps = tuple(step * width for step in stride)
    return np.ndarray(size, storage.dtype, storage.buffer, offset * width, steps)


def _parameter(tensor, requires_grad=True, hooks=None) -> np.ndarray:
    if not isinstance(tensor, np.ndarray):
        raise TypeError("a parameter that is no tensor")
    return tensor


def _ordered_dict() -> dict:
    return {}  # saved empty, then filled; a dict keeps its order


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


_FUNCTIONS = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
}
