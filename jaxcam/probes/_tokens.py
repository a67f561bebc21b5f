"""Tokens `(1, tokens, K)` rearranged as a map `(1, *space, K)`, and back."""

import itertools
import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, PyTree

Restore = Callable[[Array], Array]
Grid = tuple[int, ...]
_MANY = 16  # leading tokens that an error still proposes
_SHOWN = 4  # grids that an error names


def as_map(activation: PyTree, image: Grid, leading: int | None, who: str) -> tuple[Array, Restore]:
    """An activation as a map, and the function that puts a map of that shape back in its place.

    Args:
        activation: `(1, *space, K)`, which is the map itself, or tokens `(1, tokens, K)`: patches row by row, after
            leading non-spatial tokens (class token, registers). For a signal the two agree, so that leading tokens are
            dropped only where `leading` says so.
        image: sides of the image, in pixels: one of a signal, two of a picture, three of a volume. A grid is of patches
            that cover it: square ones (cubes in a volume of equal sides), or others where one grid alone is possible.
        leading: how many leading tokens there are; None if there is none or one, whichever leaves a grid.
        who: returned the activation, for the error.

    Returns:
        The map `(1, *space, K)`, and `(1, *space, K)` -> what the model goes on with: the leading tokens as they were.

    Raises:
        ValueError: an activation of another shape, or a number of tokens that no grid has, or that several have.
    """
    shape, rank = getattr(activation, "shape", None), len(image)
    if shape is None or len(shape) not in (3, rank + 2) or shape[0] != 1:
        seen = f"shape {tuple(shape)}" if shape is not None else type(activation).__name__
        axes = {1: "l", 2: "h, w", 3: "d, h, w"}[rank]
        number = {1: "one spatial axis", 2: "two spatial axes", 3: "three spatial axes"}[rank]
        raise ValueError(
            f"{who} returns {seen} for a batch of one image: a map needs an activation (1, {axes}, K) with {number} "
            f"and channels last, or tokens (1, {axes.replace(',', ' *')}, K)"
        )
    if len(shape) == rank + 2 and not (rank == 1 and leading):
        return activation, lambda changed: changed
    _, count, channels = shape
    first, grid = _fitting(count, image, leading, who)
    head = activation[:, :first]

    def restore(changed: Array) -> Array:
        return jnp.concatenate([head, changed.reshape(1, count - first, channels)], axis=1)

    return activation[:, first:].reshape(1, *grid, channels), restore


def _fitting(count: int, image: Grid, leading: int | None, who: str) -> tuple[int, Grid]:
    """The number of leading tokens, and the grid of the others."""
    if len(image) == 1:  # every token after the leading ones is a position
        if leading is not None and count > leading:
            return leading, (count - leading,)
        raise ValueError(f"{who} returns {count} tokens, and {leading} leading ones leave no position")
    choices = (0, 1) if leading is None else (leading,)
    # k² c and k² c + 1 are never both grids of the same proportions
    for first in choices:
        if grid := _even(count - first, image):
            return first, grid
    fits = [(first, grid) for first in choices for grid in _grids(count - first, image)]
    even = [(first, grid) for first in range(_MANY + 1) if (grid := _even(count - first, image))]
    if len(fits) == 1 and not (leading is None and even):
        return fits[0]
    raise ValueError(_message(who, count, image, leading, even, fits))


def _even(count: int, image: Grid) -> Grid | None:
    """The grid of `count` square patches that cover a picture, or of cubes that cover a volume of equal sides: others
    may be cut into pieces as long in time as in space, and into longer ones. None where there is none."""
    rank, pixels = len(image), math.prod(image)
    if count < 1 or (rank == 3 and len(set(image)) > 1):
        return None
    patch = round((pixels // count) ** (1 / rank))
    if patch < 1 or any(side % patch for side in image) or pixels != count * patch**rank:
        return None
    return tuple(side // patch for side in image)


def _grids(count: int, image: Grid) -> list[Grid]:
    """Every grid of `count` patches of one shape that cover an image."""
    if count < 1:
        return []
    *others, last = ([each for each in range(1, side + 1) if side % each == 0] for side in image)
    partial = ((grid, math.prod(grid)) for grid in itertools.product(*others))
    return [
        (*grid, count // cells) for grid, cells in partial if count % cells == 0 and count // cells in last
    ]


def _message(
    who: str,
    count: int,
    image: Grid,
    leading: int | None,
    even: list[tuple[int, Grid]],
    fits: list[tuple[int, Grid]],
) -> str:
    dropped = "with or without one leading token" if leading is None else f"after {leading} leading tokens"
    hint = " or ".join(f"tokens={first} leaves {_by(grid)}" for first, grid in even)
    grids = ", ".join(_by(grid) for _, grid in fits[:_SHOWN]) + (", ..." if len(fits) > _SHOWN else "")
    others = (
        f". Patches of other shapes would leave {grids}: probe a layer that returns a map" if fits else ""
    )
    return (
        f"{who} returns {count} tokens for a {_by(image)} image: {dropped} they do not form a grid of square "
        f"patches. Pass tokens=, the number of leading class and register tokens{': ' + hint if hint else ''}{others}"
    )


def _by(sides: Grid) -> str:
    return "x".join(map(str, sides))
