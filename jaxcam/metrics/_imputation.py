"""Noisy linear imputation's linear system, solved on the device: conjugate gradients with a multigrid V-cycle.

Every missing pixel is to be the weighted mean of its 8 neighbours, 1/6 across an edge and 1/12 across a corner, with
the weights renormalised at the picture's border. Times 12, the weights are [1, 2, 1] ⊗ [1, 2, 1] but for the pixel
itself, so with T that separable filter the system is `m ⊙ (T1 ⊙ x - T x) = m ⊙ T(known)`: symmetric and positive
definite on the missing pixels m. Coarser grids take the same filter, on the cells whose pixels are all missing.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._dtypes import widen

ITERATIONS = 10


def impute(
    image: Float[Array | np.ndarray, "H W C"],
    known: Bool[Array | np.ndarray, "H W"],
    *,
    iterations: int = ITERATIONS,
) -> Float[Array, "H W C"]:
    """The image with each unknown pixel the weighted mean of its 8 neighbours: `Σ_j w_ij (x_j - x_i) = 0`.

    `w_ij` is 1/6 across an edge and 1/12 across a corner, and neighbours outside the picture do not count.

    Args:
        image: `(H, W, C)`; for pictures only.
        known: `(H, W)`, which pixels to keep. Where none is known, the image is zeros: the mean colour.
        iterations: of the solver. 10 leave an error below 1e-4 of the exact solution for pictures of unit deviation.

    Returns:
        `(H, W, C)` in the image's dtype.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods", arXiv
    2202.00449 [paper]; the solver is ours [ours].
    """
    channels = jnp.moveaxis(widen(jnp.asarray(image)), -1, 0)
    missing = 1 - jnp.asarray(known).astype(channels.dtype)[None]
    kept = jnp.where(missing == 0, channels, 0)
    grids = [missing]
    while max(grids[-1].shape[1:]) > 4:
        grids.append(_coarser(grids[-1]))
    filled = kept + _solve(grids, missing * _filter(kept), iterations)
    return jnp.moveaxis(filled, 0, -1).astype(image.dtype)


def _solve(grids: list[Array], b: Float[Array, "C H W"], iterations: int) -> Float[Array, "C H W"]:
    """Conjugate gradients, preconditioned by a V-cycle; each channel is a system of its own."""

    def step(_, state):
        x, r, p, before = state
        z = _cycle(grids, r)
        rz = _dot(r, z)
        p = z + _ratio(rz, before) * p
        q = _operator(grids[0], p)
        length = _ratio(rz, _dot(p, q))
        return x + length * p, r - length * q, p, rz

    zero = jnp.zeros_like(b)
    return jax.lax.fori_loop(0, iterations, step, (zero, b, zero, jnp.zeros_like(_dot(b, b))))[0]


def _cycle(grids: list[Array], r: Float[Array, "C H W"]) -> Float[Array, "C H W"]:
    """One V-cycle from zero, with a Jacobi step before and after. (Jacobi leaves at most 1/3 of a rough error.)"""
    missing, *coarser = grids
    scale = missing / jnp.maximum(_diagonal(missing), 1)
    x = scale * r
    if not coarser:
        for _ in range(8):
            x = x + scale * (r - _operator(missing, x))
        return x
    rows, columns = (_interpolation(size, r.dtype) for size in missing.shape[1:])
    rest = _product("ci,nij,jd->ncd", rows.T, r - _operator(missing, x), columns)
    x = x + missing * _product("ic,ncd,dj->nij", rows, _cycle(coarser, coarser[0] * rest), columns.T)
    return x + scale * (r - _operator(missing, x))


def _operator(missing: Float[Array, "1 H W"], x: Float[Array, "C H W"]) -> Float[Array, "C H W"]:
    return missing * ((_diagonal(missing) + 4) * x - _filter(x))


def _diagonal(missing: Float[Array, "1 H W"]) -> Float[Array, "1 H W"]:
    """12 times the sum of a pixel's weights: 12 inside, 8 at an edge, 5 in a corner."""

    def sums(size):
        return 4 - np.eye(1, size)[0] - np.eye(1, size, size - 1)[0]

    rows, columns = (sums(size) for size in missing.shape[1:])
    return jnp.asarray(np.outer(rows, columns)[None] - 4, missing.dtype)


def _filter(x: Float[Array, "C H W"]) -> Float[Array, "C H W"]:
    """[1, 2, 1] down and across, with zeros beyond the border."""
    down = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    x = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    across = jnp.pad(x, ((0, 0), (0, 0), (1, 1)))
    return across[:, :, :-2] + 2 * across[:, :, 1:-1] + across[:, :, 2:]


def _coarser(missing: Float[Array, "1 H W"]) -> Float[Array, "1 h w"]:
    """Cells of 2 x 2 pixels, missing where all of their pixels are."""
    _, height, width = missing.shape
    even = jnp.pad(missing, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return jnp.min(even.reshape(1, (height + 1) // 2, 2, (width + 1) // 2, 2), axis=(2, 4))


def _interpolation(size: int, dtype) -> Float[Array, "fine coarse"]:
    """Bilinear, from cells to pixels: 3/4 of the pixel's own cell and 1/4 of the nearer neighbour."""
    pixels = np.arange(size)
    cells = (size + 1) // 2
    near = np.clip(pixels // 2 + np.where(pixels % 2, 1, -1), 0, cells - 1)
    return jnp.asarray(0.75 * np.eye(cells)[pixels // 2] + 0.25 * np.eye(cells)[near], dtype)


def _product(axes: str, *factors: Array) -> Array:
    return jnp.einsum(axes, *factors, precision=jax.lax.Precision.HIGHEST)


def _dot(a: Array, b: Array) -> Float[Array, "C 1 1"]:
    return jnp.sum(a * b, axis=(1, 2), keepdims=True)


def _ratio(part: Array, whole: Array) -> Array:
    """0 once nothing is left to do, rather than 0 / 0."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
