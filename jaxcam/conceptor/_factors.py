"""The numerics under conceptors: roots of inverses and kernels, thin, without gaps to divide by in derivatives."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._dtypes import dot


def _unbatched_on_cpu(function: Callable) -> Callable:
    """Singular vectors by LAPACK, one matrix at a time on CPUs under vmap, in batches on other devices.

    Batches of LAPACK calls share jaxlib's thread pool, where two that run at once wait for each other for ever on a
    machine with two cores (jaxlib 0.10).
    """
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(size, batched, x):
        del size, batched  # one argument, so it is the one that has a batch
        one_by_one = lambda x: jax.lax.map(mapped, x)  # noqa: E731
        found = jax.lax.platform_dependent(x, cpu=one_by_one, default=jax.vmap(function))
        return found, jax.tree.map(lambda _: True, found)

    return mapped


@jax.custom_jvp
def inverse_root(X: Array) -> Array:
    """P `(n, n)` with `P Pᵀ = (I + XᵀX)⁻¹` for X `(m, n)`, so that `C = W P Pᵀ Wᵀ`, P of W, where W Wᵀ is C's odds."""
    # With X over I = Q R, the lower block of Q is R⁻¹ and Rᵀ R = I + XᵀX. To form XᵀX would round away what the dtype
    # still resolves. The columns of Q are those of X over I up to a factor, so the factor may be taken out.
    m, n = X.shape
    size = jnp.maximum(jnp.max(jnp.abs(X), axis=0, initial=0), 1)
    return _orthonormalised(jnp.concatenate([X, jnp.eye(n, dtype=X.dtype)]) / size[None])[m:]


@inverse_root.defjvp
def _inverse_root_jvp(primals, tangents):
    # one of many roots that P may turn into: all have the same P Pᵀ, which is all that is ever used of them
    (X,), (change,) = primals, tangents
    P = inverse_root(X)
    turn = dot(dot(change, P).T, dot(X, P))
    return P, -dot(P, turn + turn.T) / 2


def compact(W: Array) -> Array:
    """A factor of the same W Wᵀ with no more columns than rows.

    `W Q` is one for every orthonormal Q `(n, K)` whose span holds the rows of W. The derivative of Q adds nothing to
    that of `W Q Qᵀ Wᵀ` (first derivatives only), and has no limit where W loses rank, so it is left out.
    """
    if W.shape[1] <= W.shape[0]:
        return W
    return dot(W, _orthonormal(jax.lax.stop_gradient(W.T)))


def _orthonormal(X: Array) -> Array:
    """Columns whose span holds those of X: orthonormal, but for columns of zeros where X has lower rank."""
    lowest = 64 * float(jnp.finfo(X.dtype).eps)
    size = jnp.max(jnp.abs(X), axis=0)
    Q = _orthonormalised(X / jnp.where(size > 0, size, 1)[None], lowest)
    return _orthonormalised(
        Q, lowest
    )  # what is lost for columns that nearly depend on each other is small by now


@functools.partial(jax.jit, static_argnames="lowest")  # outside of jit, its loops would compile at every call
def _orthonormalised(A: Array, lowest: float = 0.0) -> Array:
    """Q of `A = Q R`: modified Gram-Schmidt over panels of columns, which is matrix products but for the panels.

    As accurate as LAPACK's QR for R, and for Q up to the condition number of A times the dtype's epsilon. A column of
    which no more than the share `lowest` is left is taken to depend on the columns before it, and becomes 0.
    """
    width = max(16, -(-A.shape[1] // 24))
    squares = jnp.sum(A * A, axis=0)
    panels, rest = [], A
    for start in range(0, A.shape[1], width):
        least = lowest**2 * squares[start : start + width]
        panel, rest = _gram_schmidt(rest[:, :width], least), rest[:, width:]
        # a step of Newton's iteration for the nearest orthonormal columns: what Gram-Schmidt leaves, squared
        panel = 1.5 * panel - 0.5 * dot(panel, dot(panel.T, panel))
        rest = rest - dot(panel, dot(panel.T, rest))
        panels.append(panel)
    return jnp.concatenate(panels, axis=1)


def _gram_schmidt(A: Array, least: Array) -> Array:
    """One column after the other: divided by its length, and taken out of those behind it."""
    places = jnp.arange(A.shape[1])

    def step(k, A):
        column = jax.lax.dynamic_slice_in_dim(A, k, 1, axis=1)
        products = jnp.sum(column * A, axis=0)
        square = jax.lax.dynamic_index_in_dim(products, k, keepdims=False)
        lost = square <= jax.lax.dynamic_index_in_dim(least, k, keepdims=False)
        inverse = jnp.where(lost, 0, 1 / jnp.where(lost, 1, square))
        share = jnp.where(places > k, products * inverse, 0) + jnp.where(
            places == k, 1 - jnp.sqrt(inverse), 0
        )
        return A - column * share[None]

    return jax.lax.fori_loop(0, A.shape[1], step, A)


@jax.custom_jvp
def kernel(W: Array) -> Array:
    """The orthogonal projector on the kernel of W `(K, n)`: `I - W⁺ W`."""
    return _kernel_and_pinv(W)[0]


@kernel.defjvp
def _kernel_jvp(primals, tangents):
    # at constant rank: no gaps between singular values, which the derivative of the vectors would divide by
    (W,), (change,) = primals, tangents
    projector, pinv = _kernel_and_pinv(W)
    turn = dot(pinv, dot(change, projector))
    return projector, -turn - turn.T


@_unbatched_on_cpu
def _kernel_and_pinv(W: Array) -> tuple[Array, Array]:
    u, s, vt = jnp.linalg.svd(W, full_matrices=False)
    some = s > 10 * max(W.shape) * jnp.finfo(W.dtype).eps * s[0]
    kept = jnp.where(some[:, None], vt, 0)
    projector = jnp.eye(W.shape[1], dtype=W.dtype) - dot(kept.T, kept)
    return projector, dot(kept.T / jnp.where(some, s, 1)[None], u.T)
