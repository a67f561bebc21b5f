"""Boxes: given as lists, an image at a time; moved from the picture to the map; checked and packed for the device."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from .._dtypes import ArrayLike

# of each image a list of boxes, rows of x0, y0, x1, y1, or one box
Boxes = Sequence[ArrayLike] | Array | np.ndarray

_ROUNDING = 1e-3  # pixels by which a rescaled box may leave the picture


def rescale_boxes(
    boxes: ArrayLike, picture: tuple[int, int], *, size: int, resize: int | None = None
) -> Float[np.ndarray, "n 4"]:
    """Boxes of a picture, in pixels of what the model sees of it.

    Args:
        boxes: `(n, 4)`, rows of x0, y0, x1, y1 in pixels of the picture; or one box.
        picture: its `(width, height)`, as PIL gives them.
        size: side of the square that the model sees, in pixels.
        resize: the shorter side before the crop of the centre, as in `jaxcam.models.preprocess`; None where the whole
            picture is squeezed to the square.

    Returns:
        `(m, 4)` in pixels of the square, cut off at its border. A box outside of it is left out, so m may be 0.

    Raises:
        ValueError: boxes that are not finite, have no area or lie outside the picture.

    Source: the rounding is torchvision's [third party].
    """
    width, height = picture
    rows = _checked(boxes, width, height, "the picture")
    if resize is None:
        scale, offset = (size / width, size / height), (0, 0)
    else:
        wide, high = (int(resize * side / min(width, height)) for side in (width, height))
        scale, offset = (wide / width, high / height), (round((wide - size) / 2), round((high - size) / 2))
    moved = np.clip(rows * np.tile(scale, 2) - np.tile(offset, 2), 0, size)
    return moved[(moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])]


def pack(boxes: Boxes, maps: tuple[int, ...]) -> Float[np.ndarray, "B N 4"]:
    """Boxes of each image, checked against the maps' shape and filled up with NaN to the same number."""
    count, height, width = maps
    if len(boxes) != count:
        raise ValueError(
            f"each map needs its list of boxes: got {count} maps and {len(boxes)} lists of boxes"
        )
    rows = [_checked(each, width, height, f"image {index}") for index, each in enumerate(boxes)]
    packed = np.full((count, max(map(len, rows)), 4), np.nan, dtype=np.float32)
    for index, each in enumerate(rows):
        packed[index, : len(each)] = each
    return packed


def _checked(boxes: ArrayLike, width: int, height: int, where: str) -> Float[np.ndarray, "n 4"]:
    rows = np.asarray(boxes, dtype=np.float64)
    if rows.ndim == 1 and rows.size == 4:
        rows = rows[None]
    if rows.size == 0:
        raise ValueError(f"{where} has no box: leave it out")
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes are rows of x0, y0, x1, y1; {where} has shape {rows.shape}")
    for row in rows:
        x0, y0, x1, y1 = row
        if not np.isfinite(row).all():
            raise ValueError(f"{where}: the box {row.tolist()} is not finite")
        if x1 <= x0 or y1 <= y0:
            raise ValueError(f"{where}: the box {row.tolist()} has no area: x0 < x1 and y0 < y1 must hold")
        if min(x0, y0) < -_ROUNDING or x1 > width + _ROUNDING or y1 > height + _ROUNDING:
            raise ValueError(
                f"{where}: the box {row.tolist()} leaves the {width} x {height} pixels (width x height); "
                "jaxcam.metrics.rescale_boxes moves boxes from the picture to the map"
            )
    return rows
