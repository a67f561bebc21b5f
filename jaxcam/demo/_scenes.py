"""Pictures to explain: real handwritten digits in chalk on a cluttered slate, each of known place and class.

The digits are those of `sklearn.datasets.load_digits` (8x8 pixels, UCI Optical Recognition of Handwritten
Digits). The clutter is drawn with the same chalk and holds pieces of such digits, so neither colour,
brightness nor stroke gives a digit away.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from . import _glyphs
from ._glyphs import CELL, sample, spline

Split = Literal["train", "test"]

_GAP = 4  # pixels between two digits, and between a digit and the border


def _palette(codes: str) -> np.ndarray:
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], np.float32) / 255


_SLATES = _palette("232b38 1f3432 2e293a 322e2e")  # navy, green, plum, charcoal
_CHALKS = _palette("f4f1e6 fad674 f59680 92d6aa 84c4ec cbaaf0")  # white, yellow, coral, mint, sky, lilac


class Scenes(NamedTuple):
    """Pictures, the class of each digit, and its box x0, y0, x1, y1 in pixels, ends exclusive."""

    images: UInt8[np.ndarray, "N H W 3"]
    labels: Int[np.ndarray, "N D"]
    boxes: Int[np.ndarray, "N D 4"]


def scenes(
    count: int, *, seed: int = 0, split: Split = "test", size: int = 112, digits: int = 3, clutter: int = 10
) -> Scenes:
    """Draws pictures of digits. The same arguments give the same pictures.

    Args:
        count: pictures.
        seed: of everything that is drawn at random.
        split: "train" or "test": no digit drawn for one is ever drawn for the other.
        size: height and width, in pixels.
        digits: in each picture, all of different classes.
        clutter: marks that are not digits, in each picture.

    Raises:
        ValueError: an unknown split, or more digits than fit.
    """
    if split not in ("train", "test"):
        raise ValueError(f"no split {split!r}; allowed are 'train' and 'test'")
    if not 0 <= digits <= 10 or size < 56 or digits * 56**2 > 1.2 * size**2:
        raise ValueError(f"{digits} digits of different classes do not fit on {size} pixels")
    rng = np.random.default_rng([seed, split == "train"])
    labels = rng.permuted(np.tile(np.arange(10), (count, 1)), axis=1)[:, :digits]

    ink = _ink_of_digits(rng, labels, split)
    extents = _extents(ink)
    centers = _place_apart(rng, extents, size)
    boxes = np.concatenate([centers, centers], axis=-1) + extents

    margin = slice(CELL // 2, -CELL // 2)
    canvas = np.zeros((count, size + CELL, size + CELL, 3), np.float32)
    canvas[:, margin, margin] = _slate(rng, count, size)
    for mark, center in _clutter(rng, count, clutter, size, boxes, split):
        _draw(canvas, mark, center, _chalk(rng, count, faint=0.4), rng)
    for d in range(digits):
        _draw(canvas, ink[:, d], centers[:, d], _chalk(rng, count, faint=0.65), rng)
    return Scenes((canvas[:, margin, margin] * 255 + 0.5).astype(np.uint8), labels, boxes)


def _ink_of_digits(rng, labels, split):
    """One digit of each class asked for, slightly turned and sheared: ink in [0, 1], `(N, D, cell, cell)`."""
    glyphs, classes = _glyphs.digits(split)
    members = [np.flatnonzero(classes == c) for c in range(10)]
    sizes = np.array([len(m) for m in members])
    draw = (rng.random(labels.shape) * sizes[labels]).astype(int)
    chosen = np.concatenate(members)[(np.cumsum(sizes) - sizes)[labels] + draw].reshape(-1)
    n = len(chosen)
    turn, shear = rng.uniform(-0.22, 0.22, n), rng.uniform(-0.15, 0.15, n)
    weight = rng.uniform(0.85, 1.2, (n, 1, 1)).astype(np.float32)  # more ink, wider strokes
    scale, narrow = rng.uniform(0.78, 1.08, n), rng.uniform(0.8, 1.05, n)
    soft = sample(glyphs, chosen, turn=turn, scale=scale, shear=shear, narrow=narrow)
    return (soft * weight).reshape(*labels.shape, CELL, CELL)


def _clutter(rng, count, amount, size, boxes, split):
    """Yields ink and centre of marks that are not digits, doodles and pieces of digits, where there is room."""
    digits, _ = _glyphs.digits(split)
    glyphs = np.concatenate([digits, _glyphs.doodles()])
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    taken = [(middle, (boxes[..., 2:] - boxes[..., :2]) / 2)]
    grid = np.arange(CELL) - (CELL - 1) / 2
    for _ in range(amount):
        piece = rng.random(count) < 0.45
        chosen = np.where(
            piece, rng.integers(len(digits), size=count), rng.integers(len(digits), len(glyphs), count)
        )
        turn = rng.uniform(-np.pi, np.pi, count)
        scale = np.where(piece, rng.uniform(0.75, 1, count), rng.uniform(0.45, 0.85, count))
        mark = sample(glyphs, chosen, turn=turn, scale=scale)
        # a piece is what lies on one side of a line close to the middle: at most half a digit
        way, offset = rng.uniform(0, 2 * np.pi, count)[:, None, None], rng.uniform(0, 4, count)[:, None, None]
        side = np.cos(way) * grid + np.sin(way) * grid[:, None] - offset
        mark *= np.where(piece[:, None, None], np.clip(side / 2 + 0.5, 0, 1), 1)

        best = _roomiest(rng, taken, count, size)
        taken.append((best[:, None], np.full((count, 1, 2), 5.0)))
        yield mark, best


def _roomiest(rng, taken, count, size):
    """Of 32 places drawn at random, the one farthest from the rectangles (centre, reach) that are taken."""
    candidates = rng.integers(4, size - 4, (count, 32, 1, 2))
    center, reach = (np.concatenate(each, axis=1)[:, None] for each in zip(*taken, strict=True))
    room = np.maximum(np.abs(candidates - center) - reach, 0)
    nearest = np.hypot(room[..., 0], room[..., 1]).min(axis=2, initial=size)
    return candidates[np.arange(count), nearest.argmax(axis=1), 0]


def _place_apart(rng, extents, size):
    """Centres `(N, D, 2)` such that the boxes lie within the picture and apart; drawn again until they do."""
    lowest, highest = _GAP - extents[..., :2], size - _GAP - extents[..., 2:]
    centers = np.zeros_like(lowest)
    todo = np.arange(len(extents))
    while todo.size:
        centers[todo] = rng.integers(lowest[todo], highest[todo] + 1)
        low, high = centers[todo] + extents[todo, :, :2], centers[todo] + extents[todo, :, 2:]
        meet = ((low[:, :, None] - _GAP < high[:, None]) & (low[:, None] - _GAP < high[:, :, None])).all(-1)
        todo = todo[meet.sum(axis=(1, 2)) > extents.shape[1]]  # each box meets itself
    return centers


def _extents(ink):
    """The tight box of the ink around the centre of its patch, `(..., 4)`: x0, y0, x1, y1."""
    solid = _stroke(ink) > 0.2
    edges = []
    for axis in (-2, -1):  # columns that hold ink, then rows
        held = solid.any(axis=axis)
        edges.append((held.argmax(-1), CELL - held[..., ::-1].argmax(-1)))
    (x0, x1), (y0, y1) = edges
    return np.stack([x0, y0, x1, y1], axis=-1) - CELL // 2


def _draw(canvas, ink, center, chalk, rng):
    """Lays chalk on the canvas, in place: a grainy stroke and a little dust around it."""
    tint, strength = chalk
    grain = 1 - 0.3 * rng.random(ink.shape, np.float32) ** 2
    alpha = (0.95 * _stroke(ink) * grain + 0.1 * np.clip(ink, 0, 0.5)) * strength[:, None, None]
    at = np.arange(CELL)  # the canvas has a margin of half a patch, so a patch begins where its centre is
    place = (
        np.arange(len(ink))[:, None, None],
        (center[:, 1, None] + at)[:, :, None],
        (center[:, :1] + at)[:, None],
    )
    under = canvas[place]
    canvas[place] = under + alpha[..., None] * (tint[:, None, None] - under)


def _stroke(ink):
    """Soft ink to a stroke with an edge one pixel wide."""
    t = np.clip((ink - 0.42) / 0.3, 0, 1)
    return t * t * (3 - 2 * t)


def _chalk(rng, count, *, faint):
    """A tint for each picture, and how strong it is laid on: at least `faint`."""
    tint = _CHALKS[rng.integers(len(_CHALKS), size=count)]
    tint = np.clip(tint + rng.uniform(-0.04, 0.04, (count, 3)).astype(np.float32), 0, 1)
    return tint, rng.uniform(faint, 1.0, count).astype(np.float32)


def _slate(rng, count, size):
    """Wiped slate: a dark tint, three octaves of soft noise, and grain."""
    base = _SLATES[rng.integers(len(_SLATES), size=count)]
    base = base * rng.uniform(0.8, 1.15, (count, 1)).astype(np.float32)
    light = np.zeros((count, size, size), np.float32)
    for cells, height in ((3, 0.32), (7, 0.16), (28, 0.07)):
        rise = spline(cells, size)
        light += height * (rise @ (rng.random((count, cells, cells), np.float32) - 0.5) @ rise.T)
    light += 0.05 * (rng.random(light.shape, np.float32) - 0.5)
    return np.clip(base[:, None, None] * (1 + 2 * light[..., None]), 0, 1)
