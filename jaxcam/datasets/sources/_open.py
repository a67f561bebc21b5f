"""Chooses the source class for a data set."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._dtypes import ArrayLike
from ..._errors import unknown
from ...files._labels import Labels
from ...files._pictures import missing
from ...files._walk import SUFFIXES as PICTURES
from ...files._walk import natural
from ._array_record import SUFFIXES as ARRAY_RECORDS
from ._array_record import ArrayRecord
from ._arrays import Arrays, HasPictures, open_npy, open_npz, read_labels
from ._classes import as_labels
from ._files import check_file, is_systems
from ._folder import Folder
from ._manifest import Manifest
from ._record import Source
from ._sequence import Indexed, Items
from ._tables import READERS
from ._zarr import is_zarr, open_zarr

Dataset = str | os.PathLike[str] | Source | Indexed | HasPictures  # what `open` takes


class _Options(NamedTuple):
    recursive: bool
    classes: Labels | None
    labels: ArrayLike | None
    decode: Callable[[Any], Any] | None
    boxes: bool
    preprocessed: bool


class _Kind(NamedTuple):
    """Name of a source in messages, its options, and the function that opens it."""

    words: str
    takes: tuple[str, ...]
    open: Callable[[Any, _Options], Source]


_FOLDER = _Kind(
    "a folder", ("recursive", "classes"), lambda p, o: Folder(p, recursive=o.recursive, classes=o.classes)
)
_MANIFEST = _Kind("a manifest", ("classes",), lambda p, o: Manifest(p, classes=o.classes, boxes=o.boxes))
_TAKEN = ("labels", "preprocessed")
_NPY = _Kind("a .npy", _TAKEN, lambda p, o: open_npy(p, o.labels, preprocessed=o.preprocessed))
_NPZ = _Kind("a .npz", _TAKEN, lambda p, o: open_npz(p, o.labels, preprocessed=o.preprocessed))
_ZARR = _Kind("a zarr", _TAKEN, lambda p, o: open_zarr(p, o.labels, preprocessed=o.preprocessed))
_ARRAY = _Kind(
    "an array",
    _TAKEN,
    lambda a, o: Arrays(a, labels=o.labels, location=type(a).__name__, preprocessed=o.preprocessed),
)
_RECORDS = _Kind(
    "ArrayRecord",
    ("decode",),
    lambda p, o: ArrayRecord(_shards(p) or [p], location=p, decode=o.decode),
)
_SOURCE = _Kind("what is open already", (), lambda source, o: source)
_OBJECT = _Kind(
    "a Python object",
    ("decode", "preprocessed"),
    lambda x, o: Items(x, called=type(x).__name__, decode=o.decode, preprocessed=o.preprocessed),
)

_ENDINGS = {
    **dict.fromkeys(READERS, _MANIFEST),
    ".npy": _NPY,
    ".npz": _NPZ,
    **dict.fromkeys(ARRAY_RECORDS, _RECORDS),
}


def open(
    what: Dataset,
    *,
    recursive: bool = True,
    classes: Labels | Sequence[str] | None = None,
    labels: str | os.PathLike[str] | ArrayLike | None = None,
    decode: Callable[[Any], Any] | None = None,
    boxes: bool = True,
    preprocessed: bool = False,
) -> Source:
    """Opens a data set, after the checks that are quick.

    Args:
        what: a path, or an object. A folder of pictures, with a folder for each class or without; a manifest (.csv,
            .tsv, .jsonl, .parquet) with columns path, target, boxes; a .npy, .npz or zarr folder of pictures (N, H, W,
            3), uint8 or preprocessed floats; .array_record files, or a folder of them; an array; or any object with
            `len` and `[i]`, whose items are pictures, pairs (picture, label) or dicts with picture, path, label, boxes.
            Objects are asked by several threads at once. A source stays as it is.
        recursive: take pictures in folders below a folder, too.
        classes: names of classes by index, for class folders and for targets that are names. By default synsets are
            ImageNet's classes, and other names are numbered in sorted order.
        labels: classes of an array's pictures, N whole numbers or the path of a .npy; -1 for none.
        decode: makes a picture, pair or dict of a record's bytes in ArrayRecord, or of an object's item.
        boxes: a manifest's boxes are needed, and each has to be one; otherwise a malformed one is left out.
        preprocessed: the records are arrays of floats (*space, C), which a model takes as they are: signals (L, C),
            pictures (H, W, C) of any number of channels, or volumes (D, H, W, C). For arrays and Python objects.

    Raises:
        ValueError: nothing there (the nearest name is given), nothing in it, an option that means nothing for it, or a
            row, shape or class that is not what it should be.
        TypeError: an object without `len` or `[i]`.
        ImportError: a package that an ending needs is not installed.
        OSError: a file or folder that cannot be read.
    """
    if isinstance(what, str | os.PathLike):
        what = Path(what)
        kind = _of_path(what)
    else:
        kind = _of_object(what)
    given = {"recursive": not recursive, "classes": classes is not None}
    given |= {"labels": labels is not None, "decode": decode is not None, "preprocessed": preprocessed}
    for option in (name for name, value in given.items() if value and name not in kind.takes):
        raise ValueError(f"{kind.words} takes no {option}=; it takes {', '.join(kind.takes) or 'none'}")
    options = _Options(recursive, as_labels(classes), read_labels(labels), decode, boxes, preprocessed)
    return kind.open(what, options)


def _of_path(path: Path) -> _Kind:
    if not path.exists():
        raise ValueError(missing(path))
    if path.is_dir():
        if is_systems(path):
            raise ValueError(f"{str(path)!r} is a folder of the operating system: it holds no data set")
        return _ZARR if is_zarr(path) else _RECORDS if _shards(path) else _FOLDER
    ending = path.suffix.lower()
    if ending in PICTURES:
        raise ValueError(f"{str(path)!r} is one picture: a data set is its folder, or a file that lists it")
    if ending not in _ENDINGS:
        raise ValueError(f"{str(path)!r}: {unknown('way to read', ending, _ENDINGS)}")
    check_file(path)
    return _ENDINGS[ending]


def _of_object(what: object) -> _Kind:
    if isinstance(what, Source):
        return _SOURCE
    array = isinstance(getattr(what, "dtype", None), np.dtype) and hasattr(what, "shape")
    return _ARRAY if array else _OBJECT


def _shards(path: Path) -> list[Path]:
    """The ArrayRecord files of a folder."""
    if not path.is_dir():
        return []
    return sorted(
        (each for each in path.iterdir() if each.suffix.lower() in ARRAY_RECORDS),
        key=lambda each: natural(each.name),
    )
