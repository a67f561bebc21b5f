"""Reads and writes numpy's .npz: one array a name."""

import io
import math
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

from ._archive import archive
from ._damage import DIMENSIONS, Damaged, parsing

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_START = 12 + 10_000  # bytes, by numpy's own limit on a header


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays as read-only views of the file's records.

    Raises ValueError for objects (pickles are not opened), for types that numpy has no name for, and for damage.
    """
    with archive(path) as file:
        return {name.removesuffix(".npy"): _array(name, file.read(name)) for name in file.names}


def _array(name: str, content: memoryview) -> np.ndarray:
    stream = io.BytesIO(content[:_START])
    with parsing(f"its array {name}", small=True):
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise Damaged(f"its array {name} is of the version {version}, and plain arrays have 1.0 or 2.0")
        shape, by_columns, dtype = _HEADERS[version](stream)
    name = name.removesuffix(".npy")
    if dtype.hasobject:
        raise ValueError(
            f"{name} holds Python objects, and only arrays are read (as with allow_pickle=False)"
        )
    if dtype.kind == "V":
        raise ValueError(f"{name} is of a type that .npz cannot name, perhaps bfloat16: use .safetensors")
    if dtype.kind not in "biufc":
        raise ValueError(f"{name} is of {dtype}, and only numbers are read")
    if len(shape) > DIMENSIONS or not all(0 <= n < 2**63 for n in shape):
        raise Damaged(f"{name} has {len(shape)} dimensions or a negative one")
    count, place = math.prod(shape), stream.tell()
    if count * dtype.itemsize != len(content) - place:
        raise Damaged(f"{name} should have {count} values of {dtype} and has {len(content) - place} bytes")
    flat = np.frombuffer(content, dtype, count, place)
    with parsing(f"its array {name}"):
        return flat.reshape(shape, order="F" if by_columns else "C")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    """bfloat16, which .npz cannot name, is widened to float32, losing nothing. Metadata has no place here."""
    wide = {key: x.astype(np.float32) if x.dtype == ml_dtypes.bfloat16 else x for key, x in arrays.items()}
    np.savez(path, **wide)  # pyright: ignore[reportArgumentType]
