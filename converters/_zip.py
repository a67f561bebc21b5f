"""Reads the zip files that `torch.save` writes, without torch: a pickle and a record of bytes per storage."""

from pathlib import Path
from typing import Any

import numpy as np

from ._archive import archive
from ._damage import Damaged
from ._pickle import interpret
from ._tensors import FUNCTIONS, STORAGES, Storage, identified


def read_zip(path: Path) -> Any:
    """The object that was saved, its tensors as numpy arrays.

    The arrays are read-only views; those of one storage share its memory. Bytes are in native order.

    Raises:
        ValueError: the pickle asks for more than arrays (the message names it), a tensor reaches outside its
            storage, or the file is damaged.
    """
    with archive(path) as file:
        pickles = [name for name in file.names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"holds {len(pickles)} records named data.pkl, and torch.save writes one")
        if file.packed:
            raise ValueError(f"its record {file.packed[0]} is compressed, and torch.save compresses none")
        root = pickles[0].removesuffix("data.pkl")
        order = bytes(file.read(root + "byteorder")[:20]) if root + "byteorder" in file.names else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"its byte order is {order!r}, and only little and big are known")
        buffers: dict[tuple[str, int], memoryview] = {}

        def storage(identity: object) -> Storage:
            _, dtype, key, _, count = identified(identity, 5)
            width = dtype.itemsize if order == b"big" else 1  # of what is swapped
            if (key, width) not in buffers:
                content = file.read(f"{root}data/{key}")
                if len(content) % width:
                    raise Damaged(f"its storage {key} holds {len(content)} bytes, not {count} of {dtype}")
                if width > 1:
                    content = memoryview(np.frombuffer(content, f"u{width}").byteswap().tobytes())
                buffers[key, width] = content
            buffer = buffers[key, width]
            if len(buffer) != count * dtype.itemsize:
                raise Damaged(f"its storage {key} holds {len(buffer)} bytes, not {count} of {dtype}")
            return Storage(key, dtype, buffer)

        return interpret(file.read(pickles[0]), names=STORAGES, functions=FUNCTIONS, persistent=storage)
