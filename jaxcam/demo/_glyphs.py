"""Glyphs in soft ink: the digits of the data set, marks that are not digits, and glyphs turned and sheared."""

from functools import cache
from typing import cast

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

CELL = 40  # height and width of a glyph, and of the patch it is drawn in, in pixels
_TEST_SHARE = 0.25  # of the 1797 digits


def sample(glyphs, chosen, *, turn, scale, shear=0.0, narrow=1.0):
    """The chosen glyphs, turned (radians), scaled, sheared and narrowed about the middle of their patch.

    Each but `chosen` is one number for each of them, or one for all. Returns soft ink `(n, cell, cell)`.
    """
    turn, scale, shear, narrow = (
        np.reshape(v, (-1, 1, 1)).astype(np.float32) for v in (turn, scale, shear, narrow)
    )
    at = (np.arange(CELL) - (CELL - 1) / 2).astype(np.float32)
    x = (np.cos(turn) * at + np.sin(turn) * at[:, None]) / scale
    y = (np.cos(turn) * at[:, None] - np.sin(turn) * at) / scale
    x = (x + shear * y) / narrow
    x, y = (np.clip(v + (CELL - 1) / 2, 0, CELL - 1.001) for v in (x, y))
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    dx, dy = x - x0, y - y0
    flat, start = glyphs.reshape(-1), chosen[:, None, None] * CELL**2 + y0 * CELL + x0
    top = flat[start] * (1 - dx) + flat[start + 1] * dx
    bottom = flat[start + CELL] * (1 - dx) + flat[start + CELL + 1] * dx
    return top * (1 - dy) + bottom * dy


@cache
def digits(split):
    """The split's digits as soft ink `(n, cell, cell)` with an empty rim, and their classes."""
    data = cast(Bunch, load_digits())
    order = np.random.default_rng(0).permutation(len(data.images))
    cut = int(len(order) * _TEST_SHARE)
    part = order[:cut] if split == "test" else order[cut:]
    small = np.pad(data.images[part].astype(np.float32) / 16, [(0, 0), (2, 2), (2, 2)])
    through = np.linalg.inv(spline(12, 12))  # the spline meets the pixels, so thin strokes stay thin
    rise = spline(12, CELL) @ through
    return np.ascontiguousarray(rise @ small @ rise.T), data.target[part]


@cache
def doodles():
    """Marks which are not digits, as soft ink: the distance to a few straight or bent lines."""
    t = np.linspace(0, 1, 9)

    def arc(angle, radius):
        return radius * np.stack([np.cos(angle * t), np.sin(angle * t)], -1)

    wave = np.stack([20 * t - 10, 4 * np.sin(3 * np.pi * t)], -1)
    star = [np.array([[-a, -b], [a, b]]) for a, b in ((0, 9), (8, 4.5), (8, -4.5))]
    lines = [
        [np.array([[-8, -8], [8, 8]]), np.array([[-8, 8], [8, -8]])],  # a cross
        [np.array([[-9, 7], [0, -9], [9, 7], [-9, 7]])],  # a triangle
        [np.array([[-8, -8], [8, -8], [8, 8], [-8, 8], [-8, -8]])],  # a square
        [np.array([[-10, 4], [-5, -5], [0, 4], [5, -5], [10, 4]])],  # a zigzag
        [np.array([[-10, 0], [10, 0]]), np.array([[4, -6], [10, 0], [4, 6]])],  # an arrow
        [np.array([[-8, 0], [-2, 7], [10, -8]])],  # a tick
        [arc(2.4, 8)],
        [arc(2.0, 8), arc(2.0, 3.5)],
        [wave],
        star,
        [np.array([[-5, -9], [-5, 9]]), np.array([[0, -9], [0, 9]]), np.array([[5, -9], [5, 9]])],  # a tally
    ]
    at = np.arange(CELL) - (CELL - 1) / 2
    point = np.stack(np.meshgrid(at, at), axis=-1)[:, :, None]
    marks = []
    for shape in lines:
        a = np.concatenate([line[:-1] for line in shape])
        b = np.concatenate([line[1:] for line in shape])
        along = np.clip(((point - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
        distance = np.linalg.norm(point - a - along[..., None] * (b - a), axis=-1).min(-1)
        marks.append(np.clip(1 - distance / 5, 0, 1))
    return np.stack(marks).astype(np.float32)


@cache
def spline(cells, size):
    """The matrix `(size, cells)` which draws a smooth curve (cubic B-spline) through a row of cells."""
    position = (np.arange(size) + 0.5) * cells / size - 0.5
    d = np.abs(position[:, None] - np.arange(-2, cells + 2))
    weight = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0))
    folded = weight[:, 2:-2]
    folded[:, 0] += weight[:, :2].sum(1)
    folded[:, -1] += weight[:, -2:].sum(1)
    return folded.astype(np.float32)
