"""How concentrated a map is: sparseness and entropy."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike, widen
from ._inputs import check_maps


def sparseness(maps: ArrayLike, *, rank: int = 2) -> Float[Array, "B"]:
    """Sparseness of each map, the Gini coefficient: `Σ_i (2i - n - 1) m_i / (n Σ_i m_i)`, m = |L| in ascending order.

    Higher is better: 0 where all n positions are equal, and near 1 where one position has everything.

    Args:
        maps: `(B, *space)`, raw or displayed.
        rank: the number of their spatial axes: 1 for signals, 2 for pictures, 3 for volumes.

    Returns:
        `(B,)` in [0, 1); 0 for a map of zeros.

    Raises:
        ValueError: maps of another shape, or not finite.

    Source: Chalasani et al. 2020, arXiv 1810.06583 [paper]; Quantus adds 1e-7 to every position [third party]; 0 for
    a map of zeros [ours].
    """
    return _sparseness(check_maps(maps, rank=rank))


def entropy(maps: ArrayLike, *, rank: int = 2) -> Float[Array, "B"]:
    """Entropy of each map: `-Σ_i p_i log p_i`, p = |L| / Σ |L|. Lower is better: a map should single out little.

    Args:
        maps: `(B, *space)`, raw or displayed.
        rank: the number of their spatial axes: 1 for signals, 2 for pictures, 3 for volumes.

    Returns:
        `(B,)`, between 0 for one position and log n for n equal ones; 0 for a map of zeros.

    Raises:
        ValueError: maps of another shape, or not finite.

    Source: Bhatt et al. 2020, arXiv 2005.00631, who call it complexity [paper]; 0 for a map of zeros [ours].
    """
    return _entropy(check_maps(maps, rank=rank))


@jax.jit
def _sparseness(maps: Float[Array, "B *space"]) -> Float[Array, "B"]:
    shares = jnp.sort(_shares(maps), axis=1)
    count = shares.shape[1]
    weights = (2 * jnp.arange(1, count + 1, dtype=shares.dtype) - count - 1) / count
    return jnp.sum(weights[None] * shares, axis=1)


@jax.jit
def _entropy(maps: Float[Array, "B *space"]) -> Float[Array, "B"]:
    shares = _shares(maps)
    return jnp.sum(shares * -jnp.log(jnp.where(shares > 0, shares, 1)), axis=1)


def _shares(maps: Float[Array, "B *space"]) -> Float[Array, "B n"]:
    """What each position has of a map's sum of absolute values; zeros of a map of zeros."""
    flat = jnp.abs(widen(maps)).reshape(len(maps), math.prod(maps.shape[1:]))
    total = jnp.sum(flat, axis=1, keepdims=True)
    return flat / jnp.where(total > 0, total, 1)
