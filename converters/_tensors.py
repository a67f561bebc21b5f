"""The tensors in torch's files: views of storages, put together from what a pickle says of them."""

import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

STORAGES = {
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


class Storage(NamedTuple):
    key: str
    dtype: np.dtype
    buffer: bytes | memoryview


def identified(identity: Any, length: int) -> tuple:
    """What stands for a storage in a pickle, ("storage", type, key, place, count, ...), if it does.

    Raises:
        TypeError, ValueError: it stands for something else.
    """
    kind, dtype, key, _, count, *_ = identity
    named = kind == "storage" and isinstance(dtype, np.dtype) and isinstance(key, str)
    if not named or len(identity) != length:
        raise TypeError("an object outside the pickle that is no storage")
    if not is_size(count):
        raise ValueError(f"its storage {key} is said to hold {count} values")
    return tuple(identity)


def is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None) -> np.ndarray:
    """A view of `storage`; `offset` and `stride` count elements."""
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise TypeError("a tensor without storage, size or stride")
    if len(size) != len(stride) or not all(map(is_size, (offset, *size, *stride))):
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


def _ordered_dict(items=()) -> dict:
    """Python 3 saves it empty and fills it then, Python 2 with its items; a dict keeps their order."""
    if not all(isinstance(key, str) for key, _ in items):
        raise TypeError("an ordered dict whose keys are not names")
    return dict(items)


FUNCTIONS = {
    "torch._utils._rebuild_tensor": _tensor,  # before torch 0.4
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
}
