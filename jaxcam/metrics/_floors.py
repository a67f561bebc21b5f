"""Baseline maps that do not depend on the picture: every method must beat them, and every table shows them."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import normalise, resize
from ._inputs import check_count

FLOORS = ("random", "centre", "ones")  # their names, in the order in which tables show them


def random_maps(count: int, size: tuple[int, ...], *, key: Array, cells: int = 7) -> Float[Array, "B *space"]:
    """Random maps: `N(up(u))`, u uniform on `cells` along each side, as blurred as a map of a real layer is.

    Args:
        count: how many.
        size: `(H, W)` in pixels, `(L,)` of signals, `(D, H, W)` of volumes.
        key: of jax.random.
        cells: along each side, the size of the layer that is imitated.

    Returns:
        `(B, *space)` in [0, 1], each another.

    Source: [ours].
    """
    check_count("cells", cells, least=2)
    sides = _size(size)
    shape = check_count("count", count), *(cells,) * len(sides)
    return normalise(resize(jax.random.uniform(key, shape, jnp.float32), sides), rank=len(sides))


def centred_maps(count: int, size: tuple[int, ...], *, sigma: float = 0.25) -> Float[Array, "B *space"]:
    """Gaussians in the middle: `N(exp(-(u² + v²) / 2σ²))`, u and v from the centre in units of the sides.

    Photographers put the object there: on the pointing game this is a high floor.

    Args:
        count: how many, all the same.
        size: `(H, W)` in pixels, `(L,)` of signals, `(D, H, W)` of volumes.
        sigma: deviation, as a share of the sides.

    Returns:
        `(B, *space)` in [0, 1].

    Source: [ours].
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be a share of the sides, above 0; got {sigma}")
    sides = _size(size)
    offsets = [(jnp.arange(side, dtype=jnp.float32) + 0.5) / side - 0.5 for side in sides]
    squares = functools.reduce(jnp.add.outer, [each**2 for each in offsets])
    bell = jnp.exp(-squares / (2 * sigma**2))
    return jnp.broadcast_to(normalise(bell, rank=len(sides)), (check_count("count", count), *sides))


def uniform_maps(count: int, size: tuple[int, ...]) -> Float[Array, "B *space"]:
    """Maps of ones: `L = 1`, which have no drop and no information.

    Args:
        count: how many.
        size: `(H, W)` in pixels, `(L,)` of signals, `(D, H, W)` of volumes.

    Returns:
        `(B, *space)`, all 1.

    Source: [ours].
    """
    return jnp.ones((check_count("count", count), *_size(size)), jnp.float32)


def floors(count: int, size: tuple[int, ...], *, key: Array) -> dict[str, Float[Array, "B *space"]]:
    """All of them: `{"random": ..., "centre": ..., "ones": ...}`, each `(B, *space)` in [0, 1].

    Args:
        count: how many of each.
        size: `(H, W)` in pixels, `(L,)` of signals, `(D, H, W)` of volumes.
        key: of jax.random, for the random ones.
    """
    maps = random_maps(count, size, key=key), centred_maps(count, size), uniform_maps(count, size)
    return dict(zip(FLOORS, maps, strict=True))


def _size(size: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= len(size) <= 3:
        raise ValueError(
            "size must be (height, width) in pixels, (length,) of signals or (depth, height, width) of volumes; "
            f"got {size!r}"
        )
    names = ("depth", "height", "width") if len(size) > 1 else ("length",)
    return tuple(check_count(name, side) for name, side in zip(names[-len(size) :], size, strict=True))
