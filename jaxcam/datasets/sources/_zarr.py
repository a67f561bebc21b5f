"""Pictures in zarr 2 or 3, read by tensorstore."""

import json
import math
from pathlib import Path

import numpy as np

from ..._dtypes import ArrayLike
from ..._errors import foreign
from ...files._decode import MEMORY
from ._arrays import Arrays, pick

_CACHE = 256 << 20  # bytes of decoded chunks, as one holds many neighbours
_DRIVERS = {"zarr.json": "zarr3", ".zarray": "zarr"}


def open_zarr(path: Path, labels: ArrayLike | None, *, preprocessed: bool = False) -> Arrays:
    """An array of zarr 2 or 3, or a group with one of `ARRAYS` and perhaps one of `LABELS`."""
    if is_zarr_array(path):
        return Arrays(_Zarr(path), labels=labels, location=str(path), preprocessed=preprocessed)
    pictures, own = pick(
        {each.name: _Zarr(each) for each in sorted(path.iterdir()) if is_zarr_array(each)}, path
    )
    if own is not None:
        if own.shape != pictures.shape[:1]:
            raise ValueError(f"{path}: labels {own.shape} of pictures {pictures.shape}")
        own = own.whole()
    labels = own if labels is None else labels
    return Arrays(pictures, labels=labels, location=str(path), preprocessed=preprocessed)


def is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def is_zarr_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    about = path / "zarr.json"
    try:
        about = json.loads(about.read_text()) if about.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and about.get("node_type") == "array"


class _Zarr:
    """An array of a zarr, as an object with `shape`, `dtype` and `[i]`."""

    def __init__(self, path: Path):
        import tensorstore

        driver = next(driver for name, driver in _DRIVERS.items() if (path / name).is_file())
        spec = {
            "driver": driver,
            "kvstore": {"driver": "file", "path": f"{path.absolute()}/"},
            "recheck_cached_data": "open",
        }
        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": _CACHE}})
        with foreign(f"{path} is not a zarr array"):
            self._store = tensorstore.open(spec, context=context, read=True, open=True).result()
            self.shape, self.dtype = self._store.shape, self._store.dtype.numpy_dtype
        self._path = path
        chunk = self._store.chunk_layout.read_chunk.shape or ()
        if math.prod(side or 1 for side in chunk) * self.dtype.itemsize > MEMORY:
            raise ValueError(f"{path}: a chunk of the shape {chunk} takes more than {MEMORY} bytes")

    def __getitem__(self, i: int) -> np.ndarray:
        return self._store[i].read().result()

    def whole(self) -> np.ndarray:
        if math.prod(self.shape) * self.dtype.itemsize > MEMORY:
            raise ValueError(f"{self._path}: labels {self.shape} take more than {MEMORY} bytes")
        with foreign(f"{self._path} cannot be read"):
            return self._store.read().result()
