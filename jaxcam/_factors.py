"""The numerics under conceptors: roots of inverses and kernels, thin, without gaps to divide by in derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array


def dot(a: Array, b: Array) -> Array:
    """The product in full precision, which accelerators round otherwise."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _unbatched_on_cpu(function: Callable) -> Callable:
    """LAPACK's share of the work, one matrix at a time on CPUs under vmap, in batches on other devices.

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
    # by QR of X over I: to form XᵀX would round away what the dtype still resolves
    return _inverse_root_by_qr(X)


@_unbatched_on_cpu
def _inverse_root_by_qr(X: Array) -> Array:
    identity = jnp.eye(X.shape[1], dtype=X.dtype)
    R = jnp.linalg.qr(jnp.concatenate([X, identity]), mode="r")
    return solve_triangular(R, identity)


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


@_unbatched_on_cpu
def _orthonormal(X: Array) -> Array:
    return jnp.linalg.qr(X)[0]


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
