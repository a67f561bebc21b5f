"""Records from items of a Python object or from decoded ArrayRecords, and the checks of every record."""

import hashlib
import math
import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, cast

import numpy as np
from PIL import Image

from ..._errors import brief
from ...files._decode import decode, decode_file, why_unreadable
from ...files._fields import BOXES, PATH, PICTURE, TARGET, first
from ...models._preprocess import Picture, upright_rgb
from ._record import Boxes, Record, Unreadable, as_text

_CLASSES = 2**31  # a store holds them in 32 bits


def record_of(item: object, name: str, *, preprocessed: bool = False) -> Record:
    """A record from a picture, a pair (picture, label), or a dict with `picture` and perhaps `path`, `label`, `boxes`.

    A picture is PIL's, an array that `jaxcam.models.preprocess` takes, floats (H, W, 3) preprocessed already, encoded
    bytes, or the path of a file. A dict without a picture has its `path` read. If `preprocessed`, it is an array of
    floats (*space, C) of any rank and nothing else.

    Raises:
        Unreadable, TypeError, ValueError: anything else.
    """
    label, boxes, given = None, None, item
    if isinstance(item, Mapping):
        path = first(item, PATH)
        label, boxes = first(item, TARGET), first(item, BOXES)
        picture = first(item, PICTURE)
        item = path if picture is None else picture
        name = name if path is None else as_text(os.fspath(path))
    elif isinstance(item, tuple) and len(item) == 2:
        item, label = item
    if preprocessed:
        picture, digest = _floats(item)
    elif isinstance(item, bytes):
        picture, digest = decode(item)
    elif isinstance(item, str | os.PathLike):
        picture, digest = decode_file(os.fspath(item))
    elif isinstance(item, Image.Image) or hasattr(item, "__array__"):
        picture, digest = _picture(cast(Picture, item))
    else:
        keys = f" with {sorted(given)}" if isinstance(given, dict) else ""
        raise TypeError(
            "a record is a picture (PIL, an array, bytes, a path), a pair (picture, label) or a dict with 'picture' "
            f"or 'path'; got {type(given).__name__}{keys}"
        )
    return Record(picture, name, digest, as_label(label), as_boxes(boxes))


def as_label(value: Any) -> int | None:
    """A class's number; None for None and -1, which stands for no class in many data sets.

    Raises TypeError and ValueError for what is not a whole number, or a negative one.
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"a class must be a whole number; got {brief(value)}")
    try:
        label = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise TypeError(f"a class must be a whole number; got {brief(value)}") from None
    if label < -1:
        raise ValueError(f"a class is 0 or more, or -1 for none; got {label}")
    if label >= _CLASSES:
        raise ValueError("a class is below 2**31")  # the number may have a million digits
    return None if label == -1 else label


def as_boxes(value: object) -> Boxes:
    """Rows of x0, y0, x1, y1, or one such row; None means that there is no box.

    Raises ValueError for what is not four numbers, and for a box without area.
    """
    if value is not None and not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"boxes are rows of x0, y0, x1, y1; got {brief(value)}")
    rows = [] if value is None else list(value)
    if rows and all(isinstance(each, int | float | np.number) for each in rows):
        rows = [rows]
    return tuple(_box(row) for row in rows)


def _box(row: object) -> tuple[float, float, float, float]:
    try:
        x0, y0, x1, y1 = (float(each) for each in cast(Iterable[float], row))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"a box is [x0, y0, x1, y1]; got {brief(row)}") from None
    if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x0 < x1 and y0 < y1):
        raise ValueError(f"a box is [x0, y0, x1, y1] with x0 < x1 and y0 < y1; got {[x0, y0, x1, y1]}")
    return x0, y0, x1, y1


def is_float(dtype: np.dtype) -> bool:
    return np.issubdtype(dtype, np.floating) or getattr(dtype, "name", "") == "bfloat16"


def _floats(item: object) -> tuple[np.ndarray, bytes]:
    """A signal (L, C), picture (H, W, C) or volume (D, H, W, C) of floats, and the sha256 of its bytes."""
    array = np.ascontiguousarray(cast(Any, item)) if hasattr(item, "__array__") else None
    if array is None or not is_float(array.dtype) or array.ndim not in (2, 3, 4):
        seen = type(item).__name__ if array is None else f"{array.dtype} {array.shape}"
        raise ValueError(
            f"a preprocessed record is an array of floats (L, C), (H, W, C) or (D, H, W, C); got {seen}"
        )
    return array.astype(np.float32), hashlib.sha256(array.tobytes()).digest()


def _picture(item: Picture) -> tuple[Image.Image | np.ndarray, bytes]:
    """A picture that is decoded already, and the sha256 of its pixels as they came."""
    if isinstance(item, Image.Image):
        try:
            picture = upright_rgb(item)
        except OSError as error:  # PIL reads a file late
            raise Unreadable(why_unreadable(error)) from error
        return picture, hashlib.sha256(picture.tobytes()).digest()
    array = np.ascontiguousarray(item)
    digest = hashlib.sha256(array.tobytes()).digest()
    if not is_float(array.dtype):
        return upright_rgb(array), digest
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"floats are a preprocessed picture (H, W, 3); got shape {array.shape}")
    return array.astype(np.float32), digest
