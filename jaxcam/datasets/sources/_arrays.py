"""Arrays of pictures, and NumPy files of them."""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.lib.npyio import NpzFile

from ..._dtypes import ArrayLike
from ..._errors import foreign, unknown
from ...files._decode import MEMORY
from ...files._fields import ARRAYS, LABELS
from ._files import check_file
from ._items import as_label, is_float, record_of
from ._record import Guarded, Record

_UNPACKED = 10**9  # bytes that a .npz may take beyond four times its own


@runtime_checkable
class HasPictures(Protocol):
    """An array of any library, read one picture at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, i: int, /) -> object: ...


class Arrays(Guarded):
    """The pictures of one array (N, H, W, 3), read when they are asked for.

    Args:
        pictures: uint8 (N, H, W), (N, H, W, 3) or (N, H, W, 4); or floats (N, H, W, 3), preprocessed already. Whatever
            has `shape`, `dtype` and `[i]`.
        preprocessed: they are floats (N, *space, C) of any rank: signals, pictures or volumes.
        labels: N whole numbers, or None.
        location: where the array lies; records are named after its last part.
    """

    kind = "array"
    classes = None

    def __init__(
        self,
        pictures: HasPictures,
        *,
        labels: ArrayLike | None = None,
        location: str,
        preprocessed: bool = False,
    ):
        shape, dtype = tuple(pictures.shape), np.dtype(pictures.dtype)
        _check(shape, dtype, location, preprocessed)
        self._preprocessed = preprocessed
        self.pictures, self.location, self._called = pictures, location, Path(location).name
        self.shape, self.dtype = shape, dtype
        self._labels = None if labels is None else np.asarray(labels)
        if self._labels is not None:
            if self._labels.shape != shape[:1] or self._labels.dtype.kind not in "iu":
                raise ValueError(
                    f"labels of {shape[0]} pictures are as many whole numbers; got {self._labels.dtype} "
                    f"{self._labels.shape}"
                )
            as_label(self._labels.min())
            as_label(self._labels.max())

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, i: int) -> str:
        return f"{self._called}[{i}]"

    def read(self, i: int) -> Record:
        picture = np.asarray(self.pictures[i])
        label = None if self._labels is None else self._labels[i]
        return record_of((picture, label), self.name(i), preprocessed=self._preprocessed)

    def digest(self, i: int) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(self.pictures[i]).tobytes()).digest()

    def labels(self) -> list[int | None]:
        if self._labels is None:
            return [None] * len(self)
        return [None if each == -1 else each for each in self._labels.tolist()]

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self._called} {self.shape} {self.dtype}".encode())
        for i in (0, len(self) // 2, len(self) - 1):  # three stand for all
            digest.update(np.asarray(self.pictures[i]).tobytes())
        if self._labels is not None:
            digest.update(self._labels.astype("<i8").tobytes())
        return digest.hexdigest()


def open_npy(path: Path, labels: ArrayLike | None, *, preprocessed: bool = False) -> Arrays:
    """A .npy, mapped into memory: nothing is read before it is asked for."""
    return Arrays(_load(path, mmap_mode="r"), labels=labels, location=str(path), preprocessed=preprocessed)


def open_npz(path: Path, labels: ArrayLike | None, *, preprocessed: bool = False) -> Arrays:
    """A .npz, whose pictures are read into memory as a whole; its labels, if `labels` gives none."""
    archive = _load(path)
    if not isinstance(archive, NpzFile):
        raise ValueError(f"{path} is a single array, not an .npz: rename it to .npy")
    with archive, foreign(f"{path} cannot be read"):
        unpacked = sum(each.file_size for each in archive.zip.infolist()) if archive.zip else 0
        if unpacked > (most := 4 * path.stat().st_size + _UNPACKED):
            raise ValueError(f"its arrays take {unpacked} bytes, more than {most}: unpack it to .npy files")
        pictures, own = pick(archive, path)
    labels = own if labels is None else labels
    return Arrays(pictures, labels=labels, location=str(path), preprocessed=preprocessed)


def read_labels(labels: str | os.PathLike[str] | ArrayLike | None) -> ArrayLike | None:
    """Labels as they are, or those in a .npy of that path."""
    if isinstance(labels, str | os.PathLike):
        return _load(Path(labels))
    return labels


def _load(path: Path, *, mmap_mode: Literal["r"] | None = None) -> Any:
    check_file(path)
    with foreign(f"{path} cannot be read"):
        return np.load(path, allow_pickle=False, mmap_mode=mmap_mode)


def pick(arrays: Mapping[str, Any], path: Path) -> tuple[Any, Any]:
    """The array of pictures among named arrays, found by its name or as the only one; and the labels, or None."""
    names = list(arrays)
    pictures = next((name for name in ARRAYS if name in names), names[0] if len(names) == 1 else None)
    if pictures is None:
        raise ValueError(f"{path}: {unknown('array', ARRAYS[0], names)}; pictures are in one of {ARRAYS}")
    labels = next((name for name in LABELS if name in names), None)
    return arrays[pictures], None if labels is None else arrays[labels]


def _check(shape: tuple[int, ...], dtype: np.dtype, location: str, preprocessed: bool) -> None:
    if preprocessed:
        if not is_float(dtype) or len(shape) not in (3, 4, 5):
            raise ValueError(
                f"{location}: preprocessed records are floats (N, L, C) of signals, (N, H, W, C) of pictures or "
                f"(N, D, H, W, C) of volumes; got {dtype} {shape}"
            )
        fine = True
    elif is_float(dtype):
        fine = len(shape) == 4 and shape[3] == 3
    else:
        fine = dtype == np.uint8 and (len(shape) == 3 or (len(shape) == 4 and shape[3] in (3, 4)))
    if not fine:
        first = len(shape) == 4 and shape[1] in (1, 3, 4)
        raise ValueError(
            f"{location}: pictures are uint8 (N, H, W), (N, H, W, 3) or (N, H, W, 4), or preprocessed floats "
            f"(N, H, W, 3); got {dtype} {shape}"
            + ("; channels come last: transpose(0, 2, 3, 1)" if first else "")
        )
    if 0 in shape:
        raise ValueError(f"{location} is empty: its shape is {shape}")
    if math.prod(shape[1:]) * dtype.itemsize > MEMORY:
        raise ValueError(f"{location}: a picture of the shape {shape[1:]} takes more than {MEMORY} bytes")
