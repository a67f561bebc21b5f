"""Tokens `(1, tokens, K)` rearranged as a map `(1, h, w, K)`, and back."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, PyTree

Restore = Callable[[Array], Array]
_MANY = 16  # leading tokens that an error still proposes


def as_map(
    activation: PyTree, image: tuple[int, ...], leading: int | None, who: str
) -> tuple[Array, Restore]:
    """An activation as a map, and the function that puts a map of that shape back in its place.

    Args:
        activation: `(1, h, w, K)`, which is the map itself, or tokens `(1, tokens, K)`: patches row by row, after
            leading non-spatial tokens (class token, registers).
        image: height and width of the image in pixels. A grid is of square patches that cover it.
        leading: how many leading tokens there are; None if there is none or one, whichever leaves a grid.
        who: returned the activation, for the error.

    Returns:
        The map `(1, h, w, K)`, and `(1, h, w, K)` -> what the model goes on with: the leading tokens as they were.

    Raises:
        ValueError: an activation of another shape, or a number of tokens that no grid has.
    """
    shape = getattr(activation, "shape", None)
    if shape is None or len(shape) not in (3, 4) or shape[0] != 1:
        seen = f"shape {tuple(shape)}" if shape is not None else type(activation).__name__
        raise ValueError(
            f"{who} returns {seen} for a batch of one image: a map needs an activation (1, h, w, K) with two "
            "spatial axes and channels last, or tokens (1, h * w, K)"
        )
    if len(shape) == 4:
        return activation, lambda changed: changed
    _, count, channels = shape
    choices = (0, 1) if leading is None else (leading,)
    fits = {n: grid for n in choices if (grid := _grid(count - n, *image))}
    if not fits:
        raise ValueError(_message(who, count, image, leading))
    ((first, grid),) = fits.items()  # k² c and k² c + 1 are never both grids of the same proportions
    head = activation[:, :first]

    def restore(changed: Array) -> Array:
        return jnp.concatenate([head, changed.reshape(1, count - first, channels)], axis=1)

    return activation[:, first:].reshape(1, *grid, channels), restore


def _grid(count: int, height: int, width: int) -> tuple[int, int] | None:
    """Rows and columns of `count` square patches that cover an image; None where there are none."""
    if count < 1:
        return None
    patch = math.isqrt(height * width // count)
    if patch < 1 or height % patch or width % patch or height * width != count * patch**2:
        return None
    return height // patch, width // patch


def _message(who: str, count: int, image: tuple[int, ...], leading: int | None) -> str:
    height, width = image
    dropped = "with or without one leading token" if leading is None else f"after {leading} leading tokens"
    possible = {n: grid for n in range(_MANY + 1) if (grid := _grid(count - n, *image))}
    hint = " or ".join(f"tokens={n} leaves {rows}x{columns}" for n, (rows, columns) in possible.items())
    return (
        f"{who} returns {count} tokens for a {height}x{width} image: {dropped} they do not form a grid of square "
        f"patches. Pass tokens=, the number of leading class and register tokens{': ' + hint if hint else ''}"
    )
