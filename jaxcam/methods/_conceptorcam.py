"""Conceptor-CAM: conceptors of the evidence for a class, and of the evidence against it, over any base method."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._display import normalise
from .._dtypes import widen
from .._errors import choose, unknown
from .._fuse import Fuse, channel_sum, finite_only
from .._method import of_probe
from ..conceptor._algebra import (
    Conceptor,
    Number,
    and_not,
    check_positive,
    evidence,
    learned,
    not_,
    or_,
)
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._gradcam import gradcam
from ._groups import BASES


@of_probe
def conceptorcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    base: Callable | str = gradcam,
    aperture: Number = 3.0,
    combine: str = "or",
    fuse: Fuse | None = None,
) -> Float[Array, "*space"]:
    """Conceptor-CAM: `M = e u / (u + α⁻²)` with `e = zᵀ C z / zᵀ z` at every position, z being its evidence of a
    base method, C a conceptor, u the base map from 0 to 1.

    The base method's evidence gives a column of Z `(K, P)` to each of P positions, scaled so that the eigenvalues
    of `Z Zᵀ / P` have the mean 1, and its map `b = relu(fuse(Z))`, `u = b` from 0 to 1. Positive evidence is learned
    with the weights u, pseudo-negative evidence with the weights 1 - u, each in a conceptor of aperture α. e depends
    on the direction of z and not on its length; `u / (u + α⁻²)`, a conceptor in one dimension and of the same
    aperture, keeps the map to the positions where there is evidence. `combine` says what C is:

    - "or": C⁺ OR NOT C⁻.
    - "and": C⁺ AND NOT C⁻.

    Where the base map is flat, C⁺ is learned from all positions alike and `M = e(C⁺)`.

    When: fuller maps of any base method, with a lower Average Drop.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        base: a method with a `fuse` option, or its name: it gives the evidence.
        aperture: α, above 0: how much of the evidence a conceptor lets through.
        combine: "or" or "and".
        fuse: evidence `(*space, K)` -> the base map `(*space)`; by default what the base method does.

    Returns:
        Raw map `(*space)` in [0, 1], 0 where there is no evidence.

    Raises:
        ValueError: an unknown base or way to combine, or an aperture that is not finite and above 0.

    Source: Qian et al. 2022, "Conceptor Learning for Class Activation Mapping", arXiv 2201.08636: conceptors of
    positive and pseudo-negative evidence, Boolean operations, any base method [paper]; the map, both ways to combine
    and the aperture [ours]; conceptors: Jaeger 2014, arXiv 1403.3369 [paper].
    """
    base = _base(base)
    fuse = _fuse_of(base) if fuse is None else fuse
    if not callable(fuse):
        raise ValueError(f"fuse must be a function of evidence, such as jaxcam.channel_sum; got {fuse!r}")
    return base(probe, image, target, fuse=conceptor_fuse(aperture=aperture, combine=combine, fuse=fuse))


def conceptor_fuse(*, aperture: Number = 3.0, combine: str = "or", fuse: Fuse = channel_sum) -> Fuse:
    """Conceptor-CAM as the `fuse` of any method: evidence `(*space, K)` -> raw map `(*space)`.

    `gradcam(probe, image, target, fuse=conceptor_fuse())` is `conceptorcam(probe, image, target, base=gradcam)`. What
    two calls with the same options return is equal, so a compiled program is used again.

    Args:
        aperture: α, above 0.
        combine: as in `conceptorcam`.
        fuse: evidence `(*space, K)` -> the base map `(*space)`.

    Raises:
        ValueError: an unknown way to combine, or an aperture that is not finite and above 0.

    Source: as `conceptorcam` [ours].
    """
    check_positive("aperture", aperture)
    if combine not in COMBINE:
        raise ValueError(unknown("way to combine", combine, COMBINE))
    return _ConceptorFuse(aperture, combine, fuse)


@dataclasses.dataclass(frozen=True)
class _ConceptorFuse:
    aperture: Number
    combine: str
    fuse: Callable

    def __call__(self, E: Float[Array, "*space K"]) -> Float[Array, "*space"]:
        sides = _sides(E, self.aperture, self.fuse)
        combined = COMBINE[self.combine](sides.positive, sides.negative)
        found = evidence(combined, sides.Z) * _presence(sides)
        found = jnp.where(sides.flat, evidence(sides.positive, sides.Z), found)
        return finite_only(found.reshape(E.shape[:-1]), E)


@dataclasses.dataclass(frozen=True)
class _Sides:
    Z: Float[Array, "K P"]
    u: Float[Array, " P"]
    flat: Bool[Array, ""]
    aperture: Number
    positive: Conceptor
    negative: Conceptor


def _sides(E: Array, aperture: Number, fuse: Fuse) -> _Sides:
    E = widen(E)
    base = jax.nn.relu(fuse(E))
    u = normalise(base, rank=base.ndim).reshape(-1)
    flat = ~jnp.any(u > 0)
    Z = _unit_eigenvalues(E.reshape(-1, E.shape[-1]).T)
    positive = learned(Z, aperture, jnp.where(flat, 1, u))
    negative = learned(Z, aperture, 1 - u)
    return _Sides(Z, u, flat, aperture, positive, negative)


def _presence(sides: _Sides) -> Array:
    return sides.u / (sides.u + jnp.asarray(sides.aperture, sides.u.dtype) ** -2)


def _unit_eigenvalues(Z: Array) -> Array:
    """Z scaled so that the eigenvalues of `Z Zᵀ / P` that are not 0 have the mean 1. Their number is taken to be that
    of the channels or of the positions that hold anything, whichever is lower: no decision about rounding."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(Z)))
    Z = Z / jnp.where(largest > 0, largest, 1)  # the scale drops out below: this keeps squares in range
    live = jnp.minimum(jnp.sum(jnp.any(Z != 0, axis=0)), jnp.sum(jnp.any(Z != 0, axis=1)))
    mean = jnp.sum(Z * Z) / (Z.shape[1] * jnp.maximum(live, 1).astype(Z.dtype))
    return Z / jnp.sqrt(jnp.where(mean > 0, mean, 1))


COMBINE: dict[str, Callable[[Conceptor, Conceptor], Conceptor]] = {
    "or": lambda positive, negative: or_(positive, not_(negative)),
    "and": and_not,
}


def _base(base: Callable | str) -> Callable:
    if callable(base):
        return base
    return choose("base method", base, BASES, show=99)


def _fuse_of(base: Callable) -> Fuse:
    option = inspect.signature(base).parameters.get("fuse")
    if option is None:
        raise ValueError(f"the base method {getattr(base, '__name__', base)} has no option `fuse`")
    return cast(Fuse, option.default) if callable(option.default) else channel_sum
