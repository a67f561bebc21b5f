"""Conceptor algebra: soft subspaces of channel space, with a NOT, an AND and an OR.

The conceptor of samples `z_1 .. z_n`, the columns of Z `(K, n)`, is the symmetric matrix that best maps samples to
themselves while it stays small: `C = argmin mean|z - C z|² + |C|²_F / α² = R (R + I/α²)⁻¹` with `R = Z Zᵀ / n`. Its
eigenvalues lie in [0, 1). The aperture α says how much gets through.

Here a conceptor is kept as its odds, `S = C (I - C)⁻¹`, in factors `S = W Wᵀ` (or as the inverse of that, after a NOT),
because in odds the algebra is plain [ours]:

    learn   S = α² R                 NOT   S -> S⁻¹
    adapt   S -> γ² S                OR    S + T            AND   (S⁻¹ + T⁻¹)⁻¹

W is `(K, n)` with n at most K, so that a conceptor of 49 positions in 2048 channels never meets a 2048 × 2048 matrix,
and nothing singular is ever inverted.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import check_table, check_weights
from .._dtypes import dot, widen
from ._factors import compact, inverse_root, kernel

Samples = Float[Array | np.ndarray, "K n"]
Number = float | int | Array | np.ndarray | np.generic


@functools.partial(jax.tree_util.register_dataclass, data_fields=["factor"], meta_fields=["negated"])
@dataclasses.dataclass(frozen=True)
class Conceptor:
    """A conceptor C of K channels, made by `learn`. A pytree; `np.asarray(C)` and `matrix(C)` are the matrix itself.

    Attributes:
        factor: W `(K, n)`, at least float32, n at most K.
        negated: whether W Wᵀ is the odds of `I - C` instead of the odds `C (I - C)⁻¹` of C.
    """

    factor: Any  # an array, but where JAX rebuilds it around something else, such as the axes of `vmap`
    negated: bool = False

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(matrix(self), dtype=dtype)


def learn(
    samples: Samples,
    aperture: Number = 1.0,
    *,
    weights: Float[Array | np.ndarray, " n"] | None = None,
) -> Conceptor:
    """The conceptor of samples: `C = R (R + I/α²)⁻¹`, `R = Σ_i w_i z_i z_iᵀ / Σ_i w_i`. Samples are not centred.

    Args:
        samples: Z `(K, n)`, a sample a column.
        aperture: α, above 0. Where a sample's direction has the eigenvalue l in R, it has `l / (l + 1/α²)` in C.
        weights: w `(n,)`, at least 0; equal by default. All 0 give the conceptor 0. The slope with respect to a
            weight of exactly 0 is taken to be 0.

    Raises:
        ValueError: an aperture that is not finite and above 0, samples that are not finite or of another rank,
            weights of another shape or below 0. (Values inside `jax.jit` are not known, and not checked.)
        TypeError: samples that are not an array of floating point.

    Source: Jaeger 2014, "Controlling recurrent neural networks by conceptors", arXiv 1403.3369 [paper].
    """
    check_positive("aperture", aperture)
    check_table("samples", samples, "(K, n)")
    if weights is not None:
        check_weights(weights, "sample", samples.shape[1])
    return learned(samples, aperture, weights)


def learned(samples: Array | np.ndarray, aperture: Number, weights: Array | np.ndarray | None) -> Conceptor:
    """`learn`, of values that may be NaN, which are then NaN in the conceptor."""
    Z = widen(jnp.asarray(samples))
    w = jnp.ones(Z.shape[1], Z.dtype) if weights is None else jnp.asarray(weights, Z.dtype)
    some = jnp.where(w > 0, w, 1)
    roots = jnp.where(w > 0, jnp.sqrt(some), 0)  # a square root has no slope at 0
    total = jnp.sum(w)
    root = jnp.sqrt(jnp.where(total > 0, total, 1))
    return Conceptor(compact(Z * (jnp.asarray(aperture, Z.dtype) * roots / root)[None]))


def not_(conceptor: Conceptor) -> Conceptor:
    """`NOT C = I - C`: what C leaves out."""
    return Conceptor(conceptor.factor, not conceptor.negated)


def and_(one: Conceptor, other: Conceptor) -> Conceptor:
    """`C AND B = (C⁻¹ + B⁻¹ - I)⁻¹`, continued to singular C and B: what both let through.

    Commutative and associative, not idempotent: `C AND C = adapt(C, 1/√2)`. Two learned conceptors meet where their
    ranges do. Which directions these are is decided to rounding, so the result jumps where ranges begin to meet; with
    a NOT on either side it never does.

    Raises:
        ValueError: conceptors of different numbers of channels.

    Source: Jaeger 2014, arXiv 1403.3369 [paper]; by odds [ours].
    """
    _check_pair(one, other)
    if one.negated and other.negated:
        return not_(or_(not_(one), not_(other)))
    if one.negated:
        one, other = other, one
    W, V = one.factor, other.factor
    if other.negated:  # ((W Wᵀ)⁻¹ + V Vᵀ)⁻¹ = W (I + XᵀX)⁻¹ Wᵀ, X = VᵀW
        return Conceptor(dot(W, inverse_root(dot(V.T, W))))
    # The parallel sum (W Wᵀ)⁻¹ + (V Vᵀ)⁻¹, inverted, is W Φ_WW Wᵀ: Φ projects on the pairs (a, b) with W a = V b
    both = kernel(jnp.concatenate([W, -V], axis=1))
    return Conceptor(compact(dot(W, both[: W.shape[1]])))


def or_(one: Conceptor, other: Conceptor) -> Conceptor:
    """`C OR B = NOT (NOT C AND NOT B)`: what either lets through.

    Of learned conceptors of one aperture it is the conceptor of `R_C + R_B`. Commutative and associative, not
    idempotent: `C OR C = adapt(C, √2)`.

    Raises:
        ValueError: conceptors of different numbers of channels.

    Source: Jaeger 2014, arXiv 1403.3369 [paper]; by odds [ours].
    """
    _check_pair(one, other)
    if one.negated or other.negated:
        return not_(and_(not_(one), not_(other)))
    return Conceptor(compact(jnp.concatenate([one.factor, other.factor], axis=1)))


def and_not(one: Conceptor, other: Conceptor) -> Conceptor:
    """`C AND NOT B`: what C lets through and B does not."""
    return and_(one, not_(other))


def adapt(conceptor: Conceptor, gain: Number) -> Conceptor:
    """`φ(C, γ) = C (C + (I - C) / γ²)⁻¹`: the conceptor as if learned with γ times its aperture.

    Raises:
        ValueError: a gain that is not finite and above 0.

    Source: Jaeger 2014, arXiv 1403.3369 [paper].
    """
    check_positive("gain", gain)
    W = conceptor.factor
    numbers = jnp.finfo(W.dtype)
    if isinstance(gain, float | int):
        gain = min(max(gain, float(numbers.tiny)), float(numbers.max))
    gain = jnp.clip(jnp.asarray(gain, W.dtype), numbers.tiny, numbers.max)
    # Odds so large are certain to rounding, and their squares are still numbers.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(W), initial=numbers.tiny))
    factor = jnp.minimum(1 / gain if conceptor.negated else gain, float(numbers.max) ** 0.4 / largest)
    return Conceptor(W * factor, conceptor.negated)


def evidence(conceptor: Conceptor, samples: Float[Array | np.ndarray, "K *n"]) -> Float[Array, "*n"]:
    """`zᵀ C z / zᵀ z` of samples: the share of each that the conceptor lets through, in [0, 1]; 0 where z = 0.

    Args:
        conceptor: of K channels.
        samples: one `(K,)`, or a sample a column `(K, n)`.

    Raises:
        ValueError: samples of another number of channels.

    Source: Jaeger 2014, arXiv 1403.3369; divided by the sample's own length [paper].
    """
    W = conceptor.factor
    Z = jnp.asarray(samples, W.dtype)
    if Z.shape[0] != W.shape[0]:
        raise ValueError(f"a conceptor of {W.shape[0]} channels does not fit samples of shape {Z.shape}")
    columns = Z[:, None] if Z.ndim == 1 else Z
    size = jnp.sum(columns * columns, axis=0)
    inside = dot(inverse_root(W).T, dot(W.T, columns))
    share = jnp.sum(inside * inside, axis=0) / jnp.where(size > 0, size, 1)
    share = jnp.where(size > 0, 1 - share if conceptor.negated else share, 0)
    return share.reshape(Z.shape[1:])


def quota(conceptor: Conceptor) -> Float[Array, ""]:
    """`trace(C) / K`: how much of the channel space the conceptor takes up, from 0 to 1."""
    W = conceptor.factor
    share = jnp.sum(dot(W, inverse_root(W)) ** 2) / W.shape[0]
    return 1 - share if conceptor.negated else share


def matrix(conceptor: Conceptor) -> Float[Array, "K K"]:
    """C itself `(K, K)`: symmetric, eigenvalues in [0, 1]."""
    W = conceptor.factor
    inside = dot(W, inverse_root(W))
    C = dot(inside, inside.T)
    return jnp.eye(W.shape[0], dtype=W.dtype) - C if conceptor.negated else C


def _check_pair(one: Conceptor, other: Conceptor) -> None:
    if one.factor.shape[-2] != other.factor.shape[-2]:
        raise ValueError(
            f"conceptors of {one.factor.shape[-2]} and {other.factor.shape[-2]} channels cannot be combined"
        )


def check_positive(name: str, value: Number) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    if isinstance(value, bool | str) or np.ndim(value) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number above 0; got {value!r}")
