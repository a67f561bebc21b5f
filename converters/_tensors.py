"""The tensors in torch's files: views of storages, put together from what a pickle says of them."""

import math
from typing import NamedTuple

import ml_dtypes
import numpy as np

from ._damage import DIMENSIONS, Damaged, largest, parsing

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


def identified(identity: object, length: int) -> tuple:
    """What stands for a storage in a pickle, ("storage", type, key, place, count, ...), if it does.

    Raises:
        Damaged: it stands for something else.
    """
    if not isinstance(identity, tuple) or len(identity) != length:
        raise Damaged("an object outside the pickle that is not a storage")
    kind, dtype, key, _, count, *_ = identity
    # the type first: to compare or to hash what a file nests can take for ever
    named = (
        isinstance(kind, str) and kind == "storage" and isinstance(dtype, np.dtype) and isinstance(key, str)
    )
    if not named:
        raise Damaged("an object outside the pickle that is not a storage")
    if not is_size(count):
        raise Damaged(f"its storage {key} is said to hold {shown(count)} values")
    return identity


def is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def shown(value: object) -> str:
    """A number or a short tuple of numbers; of anything else its type, because its text may never end."""
    if type(value) is int and abs(value) < 2**64:
        return str(value)
    if isinstance(value, tuple) and len(value) <= 8:
        parts = [shown(each) if type(each) is int else f"<{type(each).__name__}>" for each in value]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    return f"<{type(value).__name__}>"


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None) -> np.ndarray:
    """A view of `storage`; `offset` and `stride` count elements."""
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise Damaged("a tensor without storage, size or stride")
    if len(size) > DIMENSIONS:
        raise Damaged(f"a tensor has {len(size)} dimensions")
    if len(size) != len(stride) or not all(map(is_size, (offset, *size, *stride))):
        raise Damaged(f"a tensor has offset {shown(offset)}, size {shown(size)} and stride {shown(stride)}")
    if metadata:
        marks = [key for key in metadata if isinstance(key, str)] if isinstance(metadata, dict) else []
        raise ValueError(
            f"a tensor is marked {', '.join(marks) or 'oddly'}; resolve it in torch before saving"
        )
    width, count = storage.dtype.itemsize, math.prod(size)
    if count == 0:
        with parsing("a tensor without values"):
            return np.zeros(size, storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= (held := len(storage.buffer) // width):
        raise Damaged(f"a tensor reaches element {last} of storage {storage.key}, which has {held}")
    # a stride of 0 repeats elements; the view is free, but whoever copies it pays
    if count * width > largest(len(storage.buffer)):
        raise ValueError(
            f"refused: a tensor of {shown(size)} repeats the {held} values of storage {storage.key}"
        )
    steps = tuple(step * width for step in stride)
    with parsing("a tensor"):
        return np.ndarray(size, storage.dtype, storage.buffer, offset * width, steps)


def _parameter(tensor, requires_grad=True, hooks=None) -> np.ndarray:
    if not isinstance(tensor, np.ndarray):
        raise Damaged("a parameter that is not a tensor")
    return tensor


def _ordered_dict(items=()) -> dict:
    """Python 3 saves it empty and fills it then, Python 2 with its items; a dict keeps their order."""
    if not isinstance(items, list | tuple) or not all(
        isinstance(each, list | tuple) and len(each) == 2 and isinstance(each[0], str) for each in items
    ):
        raise Damaged("an ordered dict whose keys are not names")
    return dict(items)


FUNCTIONS = {
    "torch._utils._rebuild_tensor": _tensor,  # before torch 0.4
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
}
