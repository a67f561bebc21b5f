"""The floating point types that maps are computed in."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def widen(x: Array) -> Array:
    """`x` in float32, or in its own dtype where that is wider: what maps are computed in."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)


def dot(a: Array, b: Array) -> Array:
    """The product in full precision, which accelerators round otherwise."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
