"""Boxes: given as lists, an image at a time; moved from the picture to the map; checked and packed for the device."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from .._dtypes import ArrayLike

# of each image a list of boxes, rows of x0, y0, x1, y1, or one box; of signals x0, x1, of volumes x0, y0, z0, x1, y1,
# z1
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
    rows = _checked(boxes, (width, height), "the picture")
    if resize is None:
        scale, offset = (size / width, size / height), (0, 0)
    else:
        wide, high = (int(resize * side / min(width, height)) for side in (width, height))
        scale, offset = (wide / width, high / height), (round((wide - size) / 2), round((high - size) / 2))
    moved = np.clip(rows * np.tile(scale, 2) - np.tile(offset, 2), 0, size)
    return moved[(moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])]


def rank_of(boxes: Boxes) -> int:
    """The rank of the maps that boxes are of: half as many axes as a box has numbers, or 2 where that says nothing."""
    first = np.asarray(boxes[0]) if len(boxes) else np.zeros((0, 4))
    return {2: 1, 6: 3}.get(first.shape[-1] if first.ndim else 0, 2)


def pack(boxes: Boxes, maps: tuple[int, ...]) -> Float[np.ndarray, "B N ends"]:
    """Boxes of each image, checked against the maps' shape and filled up with NaN to the same number."""
    count, *sides = maps
    if len(boxes) != count:
        raise ValueError(
            f"each map needs its list of boxes: got {count} maps and {len(boxes)} lists of boxes"
        )
    rows = [_checked(each, tuple(sides[::-1]), f"image {index}") for index, each in enumerate(boxes)]
    packed = np.full((count, max(map(len, rows)), 2 * len(sides)), np.nan, dtype=np.float32)
    for index, each in enumerate(rows):
        packed[index, : len(each)] = each
    return packed


def _checked(boxes: ArrayLike, sides: tuple[int, ...], where: str) -> Float[np.ndarray, "n ends"]:
    """Rows of boxes in an image of these sides, x first."""
    rank = len(sides)
    starts, ends = ([f"{axis}{end}" for axis in "xyz"[:rank]] for end in "01")
    rows = np.asarray(boxes, dtype=np.float64)
    if rows.ndim == 1 and rows.size == 2 * rank:
        rows = rows[None]
    if rows.size == 0:
        raise ValueError(f"{where} has no box: leave it out")
    if rows.ndim != 2 or rows.shape[1] != 2 * rank:
        raise ValueError(f"boxes are rows of {', '.join(starts + ends)}; {where} has shape {rows.shape}")
    for row in rows:
        low, high = row[:rank], row[rank:]
        if not np.isfinite(row).all():
            raise ValueError(f"{where}: the box {row.tolist()} is not finite")
        if (high <= low).any():
            held = " and ".join(f"{start} < {end}" for start, end in zip(starts, ends, strict=True))
            raise ValueError(f"{where}: the box {row.tolist()} has no area: {held} must hold")
        if min(low) < -_ROUNDING or (high > np.asarray(sides) + _ROUNDING).any():
            order = " x ".join(("width", "height", "depth")[:rank]) if rank > 1 else "length"
            raise ValueError(
                f"{where}: the box {row.tolist()} leaves the {' x '.join(map(str, sides))} pixels ({order}); "
                "jaxcam.metrics.rescale_boxes moves boxes from the picture to the map"
            )
    return rows
