"""The figure: a row for each digit asked about, a column for each method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

PANEL = 168  # pixels
GAP, PAIR, MARGIN, HEAD, FOOT = 6, 18, 24, 104, 52  # pixels between panels, between scenes, and around them
PAPER, TEXT, QUIET, BOX = "#14171d", "#ece8dd", "#8f96a3", "#ffffff"
DPI = 100
STEP = 5  # of the 256 levels: hardly seen in the grain, and the file is a fifth smaller


def draw(
    path: Path,
    images: UInt8[np.ndarray, "S H W 3"],
    labels: Int[np.ndarray, "S D"],
    boxes: Int[np.ndarray, "S D 4"],
    maps: Mapping[str, Float[np.ndarray, "S D H W"]],
    captions: Mapping[str, str],
    notes: Sequence[str],
) -> None:
    """Writes a PNG with every digit of every scene given: the scene, then its map by each method.

    Args:
        maps: by method, in [0, 1].
        captions: a few words to stand under a method's name.
        notes: a line each, at the foot.
    """
    from matplotlib.figure import Figure

    scenes, digits = labels.shape
    x = [MARGIN + PANEL * c + GAP * c + (PAIR - GAP) * (c > 0) for c in range(1 + len(maps))]
    y = [HEAD + (PANEL + GAP) * r + (PAIR - GAP) * (r // digits) for r in range(scenes * digits)]
    width, height = x[-1] + PANEL + MARGIN, y[-1] + PANEL + FOOT + 18 * max(0, len(notes) - 1)

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    canvas = np.full((height, width, 3), _rgb(PAPER), np.uint8)
    for column, name in zip(x, ("asked for", *maps), strict=True):
        title = name.replace("_", "_\n")
        axes.text(column, HEAD - 42, title, color=TEXT, size=14, weight="bold", linespacing=1.05)
        axes.text(column, HEAD - 16, captions.get(name, "the digit in the box"), color=QUIET, size=10)
    for row, (s, d) in zip(y, np.ndindex(scenes, digits), strict=True):
        picture = _enlarge(images[s] / np.float32(255))
        panels = [picture, *(glow(picture, _enlarge(each[s, d])) for each in maps.values())]
        for column, panel in zip(x, panels, strict=True):
            canvas[row : row + PANEL, column : column + PANEL] = STEP * np.round(panel * 255 / STEP)
            _outline(axes, column, row, boxes[s, d] * PANEL / images.shape[1], first=column == x[0])
        axes.text(x[0] + 9, row + 10, str(labels[s, d]), color=PAPER, size=13, weight="bold", va="top",
                  bbox={"boxstyle": "circle,pad=0.22", "facecolor": TEXT, "edgecolor": "none"})  # fmt: skip
    for number, note in enumerate(notes):
        axes.text(x[0], y[-1] + PANEL + 30 + 18 * number, note, color=QUIET, size=10)
    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    figure.savefig(path, dpi=DPI, facecolor=PAPER)


def glow(picture, shown):
    """The picture, dim and nearly grey, lit by the map."""
    from matplotlib import colormaps

    grey = picture.mean(-1, keepdims=True)
    dim = 0.75 * (0.7 * grey + 0.3 * picture)
    light = colormaps["inferno"](0.12 + 0.86 * shown)[..., :3]
    share = np.clip(1.5 * shown, 0, 1)[..., None] ** 0.8 * 0.85
    return np.clip(dim * (1 - share) + light * share + 0.25 * share * picture, 0, 1)


def _enlarge(values):
    """`(H, W)` or `(H, W, 3)` in [0, 1] to the size of a panel, smoothly."""
    from PIL import Image

    planes = [values] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    large = [
        np.asarray(
            Image.fromarray(np.asarray(plane, np.float32)).resize((PANEL, PANEL), Image.Resampling.BICUBIC)
        )
        for plane in planes
    ]
    return np.clip(np.squeeze(np.stack(large, -1)), 0, 1)


def _outline(axes, column, row, box, *, first):
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = box + np.array([-2, -2, 2, 2])
    axes.add_patch(
        Rectangle(
            (column + x0, row + y0),
            x1 - x0,
            y1 - y0,
            fill=False,
            edgecolor=BOX,
            linewidth=1.4 if first else 0.7,
            alpha=0.95 if first else 0.55,
        )
    )


def _rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
