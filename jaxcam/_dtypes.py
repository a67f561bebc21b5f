"""The types of arrays: what may be given for one, and the floating point types that maps are computed in."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np
from jaxtyping import Array


@runtime_checkable
class HasArray(Protocol):
    """An array of any library that NumPy can read."""

    def __array__(self) -> np.ndarray: ...


# What `numpy.asarray` takes: an array of any library, a number, or a sequence of those, nested or not.
ArrayLike = jax.typing.ArrayLike | HasArray | Sequence[object]


def widen(x: Array) -> Array:
    """`x` in float32, or in its own dtype where that is wider: what maps are computed in."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)


def dot(a: Array, b: Array) -> Array:
    """The product in full precision, which accelerators round otherwise."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
