"""Reads the zip files that `torch.save` writes, without torch: a pickle and a record of bytes per storage."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ._pickle import interpret
from ._tensors import FUNCTIONS, STORAGES, Storage, identified


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
        storages: dict[tuple[str, np.dtype], Storage] = {}

        def storage(identity: Any) -> Storage:
            _, dtype, key, _, count = identified(identity, 5)
            if (key, dtype) not in storages:
                buffer = file.read(f"{root}data/{key}")
                if len(buffer) != count * dtype.itemsize:
                    raise ValueError(f"its storage {key} holds {len(buffer)} bytes, not {count} of {dtype}")
                if order == b"big":
                    buffer = np.frombuffer(buffer, f"u{dtype.itemsize}").byteswap().tobytes()
                storages[key, dtype] = Storage(key, dtype, buffer)
            return storages[key, dtype]

        return interpret(file.read(pickles[0]), names=STORAGES, functions=FUNCTIONS, persistent=storage)
