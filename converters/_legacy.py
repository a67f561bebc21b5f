"""Reads what `torch.save` wrote before torch 1.6, without torch: pickles and bytes end to end.

Three pickles (a magic number, the format's version, facts on the machine), the pickle of the object, the pickle of a
list of keys, and for each key its storage: the number of values in 8 bytes, then the values, all little-endian.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._damage import NAMES, OPERATIONS, Damaged
from ._pickle import interpret, operations
from ._tensors import FUNCTIONS, STORAGES, Storage, identified, is_size, shown

# the number 0x1950a86a20f9469cfc6c that opens such a file, as pickle spells it
MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"


def read_legacy(path: Path) -> Any:
    """The object that was saved, its tensors as numpy arrays: read-only views of the file's content.

    Raises:
        ValueError: as `read_zip`.
    """
    # Find the five pickles, one after the other.
    content = path.read_bytes()
    stream = io.BytesIO(content)
    limits = (1000, 1000, 1000, OPERATIONS, 4 * NAMES)
    _, version, _, saved, listed = (_pickle(stream, content, most=most) for most in limits)
    if (number := interpret(version, names={}, functions={}, persistent=_refused)) != 1001:
        raise ValueError(f"its format is {shown(number)}, and torch has written 1001 alone")

    types: dict[str, tuple[np.dtype, int]] = {}

    def noted(identity: object) -> None:
        _, dtype, key, _, count, _ = identified(identity, 6)
        types[key] = dtype, count

    # Interpret the object a first time for the types of its storages, without which they have no length.
    blind = {name: function if "torch." not in name else _ignored for name, function in FUNCTIONS.items()}
    interpret(saved, names=STORAGES, functions=blind, persistent=noted)
    # Find the bytes of each storage.
    storages: dict[str, Storage] = {}
    place = stream.tell()
    for key in _keys(interpret(listed, names={}, functions={}, persistent=_refused), types):
        dtype, count = types[key]
        start, end = place + 8, place + 8 + count * dtype.itemsize
        told = int.from_bytes(content[place:start], "little")
        if told != count or end > len(content):
            raise Damaged(f"its storage {key}: {told} of {count} values")
        storages[key] = Storage(key, dtype, memoryview(content)[start:end])
        place = end

    # Interpret the object again, now with its tensors.
    def storage(identity: Any) -> Storage:
        _, dtype, key, _, count, view = identified(identity, 6)
        if key not in storages:
            raise Damaged(f"its storage {key} is not there")
        whole = storages[key]
        if (dtype, count) != (whole.dtype, types[key][1]):
            raise Damaged(f"its storage {key} is of two types or lengths")
        if view is None:
            return whole
        if not isinstance(view, tuple) or len(view) != 3 or not isinstance(view[0], str):
            raise Damaged(f"a view of storage {key} that is not valid")
        name, offset, count = view
        width = whole.dtype.itemsize
        if not is_size(offset) or not is_size(count) or (offset + count) * width > len(whole.buffer):
            raise Damaged(f"a view of storage {key} is of {shown(count)} values from {shown(offset)} on")
        return Storage(name, whole.dtype, whole.buffer[offset * width : (offset + count) * width])

    return interpret(saved, names=STORAGES, functions=FUNCTIONS, persistent=storage)


def _keys(listed: object, types: Mapping[str, object]) -> list[str]:
    """The keys of the storages in the order of their bytes. To hash one that is not a string could take for ever."""
    if not isinstance(listed, list):
        raise Damaged("its list of storages is not a list")
    for key in listed:
        if not isinstance(key, str) or key not in types:
            raise Damaged(
                f"its storage {key if isinstance(key, str) else type(key).__name__} does not belong to a tensor"
            )
    return listed


def _pickle(stream: io.BytesIO, content: bytes, *, most: int) -> memoryview:
    """The part of `content` that is the next pickle of `stream`."""
    start = stream.tell()
    for _ in operations(stream, most=most):
        pass
    return memoryview(content)[start : stream.tell()]


def _ignored(*_: object) -> None:
    return None


def _refused(_: object) -> None:
    raise Damaged("an object outside a pickle that has none")
