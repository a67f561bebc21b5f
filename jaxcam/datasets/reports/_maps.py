"""Small maps: area means, entropy and correlation."""

import numpy as np


def shrink(maps: np.ndarray, edge: int) -> np.ndarray:
    """(..., h, w) with the longer side at most `edge`: means over the areas that fall together."""
    height, width = maps.shape[-2:]
    scale = min(1, edge / max(height, width))
    return fit(maps, (max(1, round(height * scale)), max(1, round(width * scale))))


def shrink_space(maps: np.ndarray, edge: int, rank: int) -> np.ndarray:
    """`shrink` of maps (..., *space) of any rank."""
    if rank == 2:
        return shrink(maps, edge)
    scale = min(1, edge / max(maps.shape[-rank:]))
    for axis in range(-rank, 0):
        cells = max(1, round(maps.shape[axis] * scale))
        maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ _areas(maps.shape[axis], cells).T, -1, axis)
    return maps


def fit(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., h, w) -> (..., *size), each cell the mean over the area that it covers."""
    if maps.shape[-2:] == size:
        return maps
    return _areas(maps.shape[-2], size[0]) @ maps @ _areas(maps.shape[-1], size[1]).T


def _areas(length: int, cells: int) -> np.ndarray:
    """(cells, length): the share of each of `length` pixels in each cell."""
    edges = np.linspace(0, length, cells + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(length)
    overlap = (np.minimum(high, pixels + 1) - np.maximum(low, pixels)).clip(0)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def entropy(maps: np.ndarray, rank: int = 2) -> np.ndarray:
    """(..., *space) -> (...): entropy of the map as a distribution over its cells, over the logarithm of their number.

    0 where one cell holds all, 1 where all are alike, NaN where the map is zero all over.
    """
    flat = maps.reshape(*maps.shape[:-rank], -1)
    total = flat.sum(axis=-1, keepdims=True)
    share = flat / np.where(total > 0, total, 1)
    bits = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=-1) / np.log(max(2, flat.shape[-1]))
    return np.where(total[..., 0] > 0, bits, np.nan).astype(np.float32)


def bytes8(maps: np.ndarray) -> np.ndarray:
    return np.round(255 * maps).astype(np.uint8)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two maps (h, w), the finer brought to the coarser's cells; NaN for a constant map."""
    size = min(one.shape, other.shape, key=lambda shape: shape[0] * shape[1])
    a, b = (fit(each.astype(np.float32), (size[0], size[1])).ravel() for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")
