"""Reads what `torch.save` wrote before torch 1.6, without torch: pickles and bytes end to end.

Three pickles (a magic number, the format's version, facts on the machine), the pickle of the object, the pickle of a
list of keys, and for each key its storage: the number of values in 8 bytes, then the values, all little-endian.
"""

import io
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ._pickle import interpret
from ._tensors import FUNCTIONS, STORAGES, Storage, identified, is_size

# the number 0x1950a86a20f9469cfc6c that opens such a file, as pickle spells it
MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"


def read_legacy(path: Path) -> Any:
    """The object that was saved, its tensors as numpy arrays: read-only views of the file's content.

    Raises:
        ValueError: as `read_zip`.
    """
    content = path.read_bytes()
    stream = io.BytesIO(content)
    *_, version, _, saved, listed = (_pickle(stream) for _ in range(5))
    if (number := interpret(version, names={}, functions={}, persistent=_refused)) != 1001:
        raise ValueError(f"its format is {number}, and torch has written 1001 alone")

    types: dict[str, tuple[np.dtype, int]] = {}

    def noted(identity: Any) -> None:
        _, dtype, key, _, count, _ = identified(identity, 6)
        types[key] = dtype, count

    # once to learn the types, without which the storages have no length, and once for the tensors
    blind = {name: function if "torch." not in name else _ignored for name, function in FUNCTIONS.items()}
    interpret(saved, names=STORAGES, functions=blind, persistent=noted)
    storages: dict[str, Storage] = {}
    place = stream.tell()
    for key in interpret(listed, names={}, functions={}, persistent=_refused):
        dtype, count = types[key]
        (told,) = struct.unpack_from("<q", content, place)
        start, place = place + 8, place + 8 + count * dtype.itemsize
        if told != count or place > len(content):
            raise ValueError(f"its storage {key} is damaged or cut short: {told} of {count} values")
        storages[key] = Storage(key, dtype, memoryview(content)[start:place])

    def storage(identity: Any) -> Storage:
        _, _, key, _, _, view = identified(identity, 6)
        whole = storages[key]
        if view is None:
            return whole
        name, offset, count = view
        width = whole.dtype.itemsize
        if not is_size(offset) or not is_size(count) or (offset + count) * width > len(whole.buffer):
            raise ValueError(f"a view of storage {key} is of {count} values from {offset} on")
        return Storage(name, whole.dtype, whole.buffer[offset * width : (offset + count) * width])

    return interpret(saved, names=STORAGES, functions=FUNCTIONS, persistent=storage)


def _pickle(stream: io.BytesIO) -> bytes:
    start = stream.tell()
    try:
        for _ in pickletools.genops(stream):
            pass
    except ValueError as error:
        raise EOFError(str(error)) from error
    end = stream.tell()
    stream.seek(start)
    return stream.read(end - start)


def _ignored(*_: Any) -> None:
    return None


def _refused(_: Any) -> None:
    raise TypeError("an object outside a pickle that has none")
