"""How much of a map lies on the digit it is about."""

import numpy as np
from jaxtyping import Bool, Float, Int


def inside(boxes: Int[np.ndarray, "*n 4"], size: tuple[int, int]) -> Bool[np.ndarray, "*n H W"]:
    """The pixels of each box x0, y0, x1, y1 (ends exclusive)."""
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)[..., None]
    rows, columns = np.arange(size[0]), np.arange(size[1])
    return ((rows >= y0) & (rows < y1))[..., :, None] & ((columns >= x0) & (columns < x1))[..., None, :]


def points(maps: Float[np.ndarray, "*n H W"], within: Bool[np.ndarray, "*n H W"]) -> Bool[np.ndarray, "*n"]:
    """Whether the maximum of each map lies within; a map without any evidence points nowhere."""
    flat = maps.reshape(*maps.shape[:-2], -1)
    top = flat.argmax(-1)[..., None]
    hit = np.take_along_axis(within.reshape(flat.shape), top, -1)[..., 0]
    return hit & (flat.max(-1) > 0)


def energy(maps: Float[np.ndarray, "*n H W"], within: Bool[np.ndarray, "*n H W"]) -> Float[np.ndarray, "*n"]:
    """The share of each map's sum that lies within, in [0, 1]; 0 for a map without any evidence."""
    total = maps.sum((-2, -1))
    return (maps * within).sum((-2, -1)) / np.where(total > 0, total, 1)
