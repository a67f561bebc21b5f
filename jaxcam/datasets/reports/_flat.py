"""Signals and volumes on a page: maps as flat pictures, and records drawn to lie below them.

A signal's map is one row of cells over its curve. A volume's map is four panels, and so is its picture: the middle
slices along z, y and x, and the maximum along z.

    middle z | maximum along z
    middle y | middle x
"""

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image, ImageDraw

CURVE = (384, 128)  # width and height of a signal's picture, in pixels
WIDE = 384  # of a volume's, at most
LINES = ("#1f6fb4", "#c2571a", "#2f8f4e", "#7a4fb0", "#a33b3b", "#5c5c5c")  # of a signal's channels
PANELS = ("middle z", "maximum along z", "middle y", "middle x")


def flat(maps: Shaped[np.ndarray, "..."], rank: int) -> Shaped[np.ndarray, "... h w"]:
    """Maps `(..., *space)` as `(..., h, w)`: `(1, L)` of a signal, the four panels of a volume."""
    if rank == 1:
        return maps[..., None, :]
    if rank == 2:
        return maps
    depth, height, width = maps.shape[-3:]
    right = max(width, height)
    whole = np.zeros((*maps.shape[:-3], height + depth, width + right), maps.dtype)
    whole[..., :height, :width] = maps[..., depth // 2, :, :]
    whole[..., :height, width : 2 * width] = maps.max(axis=-3)
    whole[..., height:, :width] = maps[..., :, height // 2, :]
    whole[..., height:, width : width + height] = maps[..., :, :, width // 2]
    return whole


def aspect(space: tuple[int, ...]) -> float:
    """Width over height of what a flat map covers."""
    if len(space) == 1:
        return CURVE[0] / CURVE[1]
    height, width = flat(np.zeros(space, bool), len(space)).shape
    return width / height


def drawn(record: Float[np.ndarray, "*space C"]) -> Image.Image:
    """A picture of a record that a model takes as it is: a curve, a picture or the panels of a volume.

    Raises ValueError for one that is not finite.
    """
    if not np.isfinite(record).all():
        raise ValueError("it holds values that are not finite (NaN or infinity)")
    if record.ndim == 2:
        return _curve(record)
    rank = record.ndim - 1
    coloured = rank == 2 and record.shape[-1] == 3
    values = record if coloured else record.mean(axis=-1)
    low, high = np.percentile(values, [0.5, 99.5])
    grey = np.round(255 * ((values - low) / max(high - low, 1e-12)).clip(0, 1)).astype(np.uint8)
    picture = Image.fromarray(grey if coloured else flat(grey, rank)).convert("RGB")
    if rank == 2:
        picture.thumbnail((WIDE, WIDE))
        return picture
    height, width = record.shape[1:-1]
    scale = WIDE / picture.width
    picture = picture.resize((WIDE, max(1, round(scale * picture.height))), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(picture)
    bottoms = (height, height, picture.height / scale, picture.height / scale)
    for name, x, y in zip(PANELS, (0, width, 0, width), bottoms, strict=True):
        draw.text(
            (scale * x + 4, scale * y - 14), name, fill="#ffd866"
        )  # the page has words of its own at the top
    draw.line([(scale * width, 0), (scale * width, picture.height)], fill="#8a8a8a")
    draw.line([(0, scale * height), (picture.width, scale * height)], fill="#8a8a8a")
    return picture


def _curve(signal: Float[np.ndarray, "L C"]) -> Image.Image:
    """The channels of a signal over its places, each place in the middle of its share of the width."""
    width, height = CURVE
    twice = Image.new("RGB", (2 * width, 2 * height), "white")  # drawn larger, so that lines are smooth
    draw = ImageDraw.Draw(twice)
    low, high = float(signal.min()), float(signal.max())
    x = (np.arange(len(signal)) + 0.5) / len(signal) * twice.width
    for channel, values in enumerate(signal.T):
        y = twice.height * (0.95 - 0.9 * (values - low) / max(high - low, 1e-12))
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points if len(points) > 1 else points * 2, fill=LINES[channel % len(LINES)], width=2)
    return twice.resize(CURVE, Image.Resampling.BOX)
