"""Baseline maps that do not depend on the picture: every method must beat them, and every table shows them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import normalise, resize
from ._inputs import check_count

FLOORS = ("random", "centre", "ones")  # their names, in the order in which tables show them


def random_maps(count: int, size: tuple[int, int], *, key: Array, cells: int = 7) -> Float[Array, "B H W"]:
    """Random maps: `N(up(u))`, u uniform on `cells x cells`, as blurred as a map of a real layer is.

    Args:
        count: how many.
        size: `(H, W)` in pixels.
        key: of jax.random.
        cells: along each side, the size of the layer that is imitated.

    Returns:
        `(B, H, W)` in [0, 1], each another.

    Source: [ours].
    """
    check_count("cells", cells, least=2)
    noise = jax.random.uniform(key, (check_count("count", count), cells, cells), jnp.float32)
    return normalise(resize(noise, _size(size)))


def centred_maps(count: int, size: tuple[int, int], *, sigma: float = 0.25) -> Float[Array, "B H W"]:
    """Gaussians in the middle: `N(exp(-(u² + v²) / 2σ²))`, u and v from the centre in units of the sides.

    Photographers put the object there: on the pointing game this is a high floor.

    Args:
        count: how many, all the same.
        size: `(H, W)` in pixels.
        sigma: deviation, as a share of the sides.

    Returns:
        `(B, H, W)` in [0, 1].

    Source: [ours].
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be a share of the sides, above 0; got {sigma}")
    height, width = _size(size)
    v, u = ((jnp.arange(side, dtype=jnp.float32) + 0.5) / side - 0.5 for side in (height, width))
    bell = jnp.exp(-(v[:, None] ** 2 + u[None] ** 2) / (2 * sigma**2))
    return jnp.broadcast_to(normalise(bell), (check_count("count", count), height, width))


def uniform_maps(count: int, size: tuple[int, int]) -> Float[Array, "B H W"]:
    """Maps of ones: `L = 1`, which have no drop and no information.

    Args:
        count: how many.
        size: `(H, W)` in pixels.

    Returns:
        `(B, H, W)`, all 1.

    Source: [ours].
    """
    return jnp.ones((check_count("count", count), *_size(size)), jnp.float32)


def floors(count: int, size: tuple[int, int], *, key: Array) -> dict[str, Float[Array, "B H W"]]:
    """All of them: `{"random": ..., "centre": ..., "ones": ...}`, each `(B, H, W)` in [0, 1].

    Args:
        count: how many of each.
        size: `(H, W)` in pixels.
        key: of jax.random, for the random ones.
    """
    maps = random_maps(count, size, key=key), centred_maps(count, size), uniform_maps(count, size)
    return dict(zip(FLOORS, maps, strict=True))


def _size(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2:
        raise ValueError(f"size must be (height, width) in pixels; got {size!r}")
    return check_count("height", size[0]), check_count("width", size[1])
