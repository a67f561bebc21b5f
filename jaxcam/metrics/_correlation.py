"""Correlation of two maps, or of two lists of numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import normalise


def pearson(a: Float[Array, "*space"], b: Float[Array, "*space"]) -> Float[Array, ""]:
    """Correlation of two maps; 0 where one of them is constant."""
    # zeros of a constant, whatever its rounding
    a, b = (normalise(each, rank=each.ndim) for each in (a, b))
    a, b = a - jnp.mean(a), b - jnp.mean(b)
    scale = jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
    return jnp.where(scale > 0, jnp.clip(jnp.sum(a * b) / jnp.where(scale > 0, scale, 1), -1, 1), 0)


def spearman(a: Float[Array, "*space"], b: Float[Array, "*space"]) -> Float[Array, ""]:
    """Correlation of the ranks of two maps; 0 where one of them is constant, NaN where one of them is not finite."""
    finite = jnp.all(jnp.isfinite(a)) & jnp.all(jnp.isfinite(b))
    return jnp.where(finite, pearson(places(a), places(b)), jnp.nan)


def places(values: Float[Array, "*space"]) -> Float[Array, "n"]:
    """The place of each value in ascending order, from 0; equal values share the mean of their places."""
    flat = values.ravel()
    ordered = jnp.sort(flat)
    first, last = (jnp.searchsorted(ordered, flat, side=side, method="sort") for side in ("left", "right"))
    return (first + last - 1).astype(flat.dtype) / 2
