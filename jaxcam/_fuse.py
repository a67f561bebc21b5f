"""Channels -> one map. Evidence of a layer's channels `(h, w, K)` becomes a raw, signed map `(h, w)`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._factors import dot

Fuse = Callable[[Array], Array]
Evidence = Float[Array | np.ndarray, "h w K"]


def channel_sum(evidence: Evidence) -> Float[Array, "h w"]:
    """The sum over channels, `M = Σ_k E_k`: evidence `(h, w, K)` -> map `(h, w)`, in every CAM unless told otherwise.

    Source: Zhou et al. 2016, arXiv 1512.04150 [paper].
    """
    return jnp.sum(evidence, axis=-1)


def principal_component(evidence: Evidence) -> Float[Array, "h w"]:
    """Projection of every position's channels on their first principal component.

    With the evidence as X `(P, K)`, one row a position, minus its mean over positions, the map is `X v₁`, v₁ being
    the first right singular vector: the direction in which positions differ the most. NaNs count as 0.

    A singular vector has no sign of its own. Here the map rises with the sum over channels (their inner product
    over positions is at least 0), so bright means more evidence, on every machine [ours]; pytorch-grad-cam takes
    whatever sign LAPACK returns.

    Args:
        evidence: `(h, w, K)`.

    Returns:
        `(h, w)`, of mean 0; all 0 where every position has the same channels.

    Source: Muhammad & Yeasin 2020, "Eigen-CAM", arXiv 2008.00299 [paper]; centring as pytorch-grad-cam
    [third party].
    """
    h, w, K = evidence.shape
    X = jnp.nan_to_num(evidence.reshape(h * w, K))
    X = X - jnp.mean(X, axis=0, keepdims=True)
    size = jnp.max(jnp.abs(X))
    scale = jnp.where(size > 0, size, 1)
    X = X / scale  # the Gram matrix squares: keeps tiny and huge evidence inside the range of float32
    if h * w <= K:  # the smaller Gram matrix has the same eigenvalues
        value, u = _top_eigenpair(dot(X, X.T))
        # at an eigenvalue of 0 the square root has no slope; the map is 0 there
        projection = u * jnp.where(value > 0, jnp.sqrt(jnp.where(value > 0, value, 1)), 0)
    else:
        _, v = _top_eigenpair(dot(X.T, X))
        projection = dot(X, v)
    agreement = dot(projection, jnp.sum(X, axis=1))
    sign = jax.lax.stop_gradient(jnp.where(agreement < 0, -1, 1).astype(projection.dtype))
    return (sign * scale * projection).reshape(h, w)


@jax.custom_jvp
def _top_eigenpair(gram: Array) -> tuple[Array, Array]:
    """Largest eigenvalue and its eigenvector, of a symmetric matrix."""
    values, vectors = jnp.linalg.eigh(gram)
    return values[-1], vectors[:, -1]


@_top_eigenpair.defjvp
def _top_eigenpair_jvp(primals, tangents):
    # eigh's own derivative divides by the gaps between all pairs of eigenvalues, and a centred Gram matrix always
    # has repeated zeros: only the gaps to the largest one are needed here.
    (gram,), (change,) = primals, tangents
    values, vectors = jnp.linalg.eigh(gram)
    top = vectors[:, -1]
    seen = dot(vectors.T, dot(change, top))
    gap = values[-1] - values
    apart = gap > 0
    turn = jnp.where(apart, seen / jnp.where(apart, gap, 1), 0)
    return (values[-1], top), (seen[-1], dot(vectors, turn))
