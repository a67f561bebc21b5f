"""Channels -> one map. Evidence of a layer's channels `(*space, K)` becomes a raw, signed map `(*space)`."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._dtypes import dot

Fuse = Callable[[Array], Array]
Evidence = Float[Array | np.ndarray, "*space K"]


def channel_sum(evidence: Evidence) -> Float[Array, "*space"]:
    """The sum over channels, `M = Σ_k E_k`: evidence `(*space, K)` -> map `(*space)`. The default of most methods.

    Source: Zhou et al. 2016, arXiv 1512.04150 [paper].
    """
    return jnp.sum(evidence, axis=-1)


def positions(activation: Array) -> tuple[int, ...]:
    """The spatial axes of an activation `(*space, K)`."""
    return tuple(range(activation.ndim - 1))


def weigh(weights: Float[Array, " K"], activation: Float[Array, "*space K"]) -> Float[Array, "*space K"]:
    """The activation with each channel times its weight, `w_k A_k`."""
    return jnp.expand_dims(weights, positions(activation)) * activation


def finite_only(map: Float[Array, "*space"], *origins: Array) -> Float[Array, "*space"]:
    """The map; NaN everywhere where one of the arrays that it was made of holds a NaN or an infinity."""
    finite = functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(each)) for each in origins])
    return jnp.where(finite, map, jnp.nan)


def principal_component(evidence: Evidence) -> Float[Array, "*space"]:
    """Projection of every position's channels on their first principal component.

    With the evidence as X `(P, K)`, one row a position, minus its mean over positions, the map is `X v₁`, v₁ being
    the first right singular vector: the direction in which positions differ the most. Evidence with a NaN or an
    infinity gives NaN everywhere.

    A singular vector has no sign of its own. Here the map rises with the sum over channels (their inner product
    over positions is at least 0), so bright means more evidence, on every machine [ours]; pytorch-grad-cam takes
    whatever sign LAPACK returns.

    v₁ comes from repeated squaring of the Gram matrix, matrix products and nothing else [ours]. Its error is about
    the dtype's epsilon over the relative gap between the two largest eigenvalues, as LAPACK's is. Where these are
    equal, v₁ is one of many, and the derivative leaves out how they turn into each other.

    Args:
        evidence: `(*space, K)`.

    Returns:
        `(*space)`, of mean 0; all 0 where every position has the same channels.

    Source: Muhammad & Yeasin 2020, "Eigen-CAM", arXiv 2008.00299 [paper]; centring as pytorch-grad-cam
    [third party].
    """
    *space, K = evidence.shape
    P = math.prod(space)
    X = jnp.asarray(evidence).reshape(P, K)
    X = X - jnp.mean(X, axis=0, keepdims=True)
    size = jnp.max(jnp.abs(X))
    scale = jnp.where(size > 0, size, 1)
    X = X / scale  # the Gram matrix squares: keeps tiny and huge evidence inside the range of float32
    if P <= K:  # the smaller Gram matrix has the same eigenvalues
        value, u = top_eigenpair(dot(X, X.T))
        # at an eigenvalue of 0 the square root has no slope; the map is 0 there
        projection = u * jnp.where(value > 0, jnp.sqrt(jnp.where(value > 0, value, 1)), 0)
    else:
        _, v = top_eigenpair(dot(X.T, X))
        projection = dot(X, v)
    agreement = dot(projection, jnp.sum(X, axis=1))
    sign = jax.lax.stop_gradient(jnp.where(agreement < 0, -1, 1).astype(projection.dtype))
    return (sign * scale * projection).reshape(space)


@jax.custom_jvp
@jax.jit  # outside of jit, its loop would compile at every call
def top_eigenpair(gram: Array) -> tuple[Array, Array]:
    """Largest eigenvalue of a symmetric matrix without negative ones, and its eigenvector."""
    top = _normal(gram)

    def unfinished(state):
        step, top = state
        square = jnp.sum(top * top)  # the sum of the squared eigenvalues, whose sum is 1
        return (step < _squarings(gram.dtype)) & (square > 0) & (square < 1 - 4 * jnp.finfo(gram.dtype).eps)

    def square(state):
        step, top = state
        return step + 1, _normal(dot(top, top))

    _, top = jax.lax.while_loop(unfinished, square, (0, top))
    longest = top[:, jnp.argmax(jnp.sum(top * top, axis=0))]
    vector = dot(top, longest)
    length = jnp.sqrt(jnp.sum(vector * vector))
    vector = vector / jnp.where(length == 0, 1, length)
    return dot(vector, dot(gram, vector)), vector


def _squarings(dtype) -> int:
    """Number of squarings: enough for the smallest gap between the two largest eigenvalues that the dtype can hold."""
    return jnp.finfo(dtype).nmant + 2


def _normal(matrix: Array) -> Array:
    """Divided by its trace, the sum of its eigenvalues; a matrix of zeros as it is."""
    total = jnp.trace(matrix)
    return matrix / jnp.where(total == 0, 1, total)


@top_eigenpair.defjvp
def top_eigenpair_jvp(primals, tangents):
    # only the gaps to the largest eigenvalue are divided by: the others repeat, zeros of a centred Gram matrix at least
    (gram,), (change,) = primals, tangents
    value, vector = top_eigenpair(gram)
    seen = dot(change, vector)
    slope = dot(vector, seen)
    turn = dot(_without_top(gram, value, vector), seen - slope * vector)
    return (value, vector), (slope, turn)


@jax.jit
def _without_top(gram: Array, value: Array, vector: Array) -> Array:
    """The pseudo-inverse of `value I - gram`, by the product `(I - M)⁻¹ = Π_j (I + M^(2^j))`, M being gram without its
    largest eigenvalue, over that. Eigenvalues that equal the largest to rounding count as 0 in it."""
    identity = jnp.eye(gram.shape[0], dtype=gram.dtype)
    others = identity - jnp.outer(vector, vector)
    small = jnp.finfo(gram.dtype).eps
    # a little more than the largest eigenvalue, so that rounding leaves no power of M to grow
    size = jnp.where(value > 0, value, 1) * (1 + 16 * small)
    start = dot(others, dot(gram / size, others))

    def unfinished(state):
        step, power, _ = state
        return (step < _squarings(gram.dtype)) & (jnp.sum(power * power) > small**2)

    def double(state):
        step, power, product = state
        return step + 1, dot(power, power), product + dot(power, product)

    _, power, product = jax.lax.while_loop(unfinished, double, (0, start, others))
    # a power that is still there belongs to eigenvalues that equal the largest: they are taken out
    return dot(product, identity - power) / size
