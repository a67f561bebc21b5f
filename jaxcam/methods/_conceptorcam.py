"""Conceptor-CAM: conceptors of what speaks for the class, and of what does not, over any base method."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .. import _targets
from .._display import normalise
from .._dtypes import dot, widen
from .._errors import choose, unknown
from .._fuse import Fuse, channel_sum, finite_only
from .._targets import Target
from ..conceptor._algebra import (
    Conceptor,
    Number,
    and_not,
    check_positive,
    evidence,
    learned,
    matrix,
    not_,
    or_,
)
from ..probes._probe import Image, Probe
from ._bases import BASES
from ._gradcam import gradcam
from ._of_probe import of_probe


@of_probe
def conceptorcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    base: Callable | str = gradcam,
    aperture: Number = 3.0,
    combine: str = "or",
    anchor: bool = True,
    negatives: int = 3,
    fuse: Fuse | None = None,
) -> Float[Array, "h w"]:
    """Conceptor-CAM: `M = e u / (u + α⁻²)` with `e = zᵀ C z / zᵀ z` at every position, z being its evidence of a
    base method, C a conceptor, u the base map from 0 to 1.

    The base method's evidence gives a column of Z `(K, P)` to each of P positions, scaled so that the eigenvalues
    of `Z Zᵀ / P` have the mean 1, and its map `b = relu(fuse(Z))`, `u = b` from 0 to 1. Positive evidence is learned
    with the weights u, pseudo-negative evidence with the weights 1 - u, each in a conceptor of aperture α. e knows the
    direction of z and not its length; `u / (u + α⁻²)`, a conceptor in one dimension and of the same aperture, anchors
    the map to the places where there is some evidence at all. `combine` says what C is:

    - "or": C⁺ OR NOT C⁻.
    - "and": C⁺ AND NOT C⁻.
    - "mean": (C⁺ + NOT C⁻) / 2, Jaeger's combination of evidence.
    - "positive": C⁺, no Boolean part.
    - "classes": C⁺ AND NOT (C⁺ of a likely class OR C⁺ of another OR ...).
    - "position": no C and no anchor; the map is `b D`, D being the conceptor of the positions over unit columns of Z.

    Where the base map is flat, C⁺ is learned from all positions alike and `M = e(C⁺)`.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(H, W, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        base: a method with a `fuse` option, or its name: it gives the evidence.
        aperture: α, above 0: how much of the evidence a conceptor lets through.
        combine: "or", "and", "mean", "positive", "classes" or "position".
        anchor: False leaves `M = e`.
        negatives: how many of the most likely other classes speak against, for "classes" alone.
        fuse: evidence `(h, w, K)` -> the base map `(h, w)`; by default what the base method does.

    Returns:
        Raw map `(h, w)` in [0, 1], 0 where there is no evidence. For "position" in units of the base map.

    Raises:
        ValueError: an unknown base or way to combine, an aperture that is not finite and above 0, an anchor that is no
            bool, fewer than one negative class or as many as there are classes, a callable target with "classes".

    Source: Qian et al. 2022, "Conceptor Learning for Class Activation Mapping", arXiv 2201.08636: conceptors of
    positive and pseudo-negative evidence, Boolean operations, any base method [paper]; the map, all ways to combine,
    aperture and anchor [ours]; conceptors: Jaeger 2014, arXiv 1403.3369 [paper].
    """
    base = _base(base)
    fuse = _fuse_of(base) if fuse is None else fuse
    if not callable(fuse):
        raise ValueError(f"fuse is a function of evidence, such as jaxcam.channel_sum; got {fuse!r}")
    if combine != "classes":
        wrapped = conceptor_fuse(aperture=aperture, combine=combine, anchor=anchor, fuse=fuse)
        return base(probe, image, target, fuse=wrapped)
    check_positive("aperture", aperture)
    _check_anchor(anchor)
    if callable(target):
        raise ValueError('combine="classes" speaks of classes: the target must be a class index or None')
    output, _ = probe(image)
    classes = output.shape[-1]
    if isinstance(negatives, bool) or not isinstance(negatives, int) or not 1 <= negatives < classes:
        raise ValueError(f"negatives is a whole number from 1 to {classes - 1}; got {negatives!r}")
    target = jnp.argmax(output) if target is None else _targets.class_index(target, classes)
    _, others = jax.lax.top_k(jnp.where(jnp.arange(classes) == target, -jnp.inf, widen(output)), negatives)
    all_classes = jnp.concatenate([target.astype(others.dtype)[None], others])
    # one forward pass: only what follows the layer depends on the class
    every = jax.vmap(lambda c: evidence_of(base, probe, image, c))(all_classes)
    sides = [_sides(each, aperture, fuse) for each in every]
    against = sides[1].positive
    for side in sides[2:]:
        against = or_(against, side.positive)
    found = evidence(and_not(sides[0].positive, against), sides[0].Z)
    found = found * _presence(sides[0]) if anchor else found
    return finite_only(found.reshape(every.shape[1:3]), every)


def conceptor_fuse(
    *, aperture: Number = 3.0, combine: str = "or", anchor: bool = True, fuse: Fuse = channel_sum
) -> Fuse:
    """Conceptor-CAM as the `fuse` of any method: evidence `(h, w, K)` -> raw map `(h, w)`.

    `gradcam(probe, image, target, fuse=conceptor_fuse())` is `conceptorcam(probe, image, target, base=gradcam)`. What
    two calls with the same options return is equal, so a compiled program is used again.

    Args:
        aperture: α, above 0.
        combine: as in `conceptorcam`, without "classes", which needs the model.
        anchor: as in `conceptorcam`.
        fuse: evidence `(h, w, K)` -> the base map `(h, w)`.

    Raises:
        ValueError: an unknown way to combine, an aperture that is not finite and above 0, an anchor that is not a bool.

    Source: as `conceptorcam` [ours].
    """
    check_positive("aperture", aperture)
    if combine not in COMBINE:
        raise ValueError(unknown("way to combine", combine, [*COMBINE, "classes"]))
    _check_anchor(anchor)
    return _ConceptorFuse(aperture, combine, anchor, fuse)


@dataclasses.dataclass(frozen=True)
class _ConceptorFuse:
    aperture: Number
    combine: str
    anchor: bool
    fuse: Callable

    def __call__(self, evidence: Float[Array, "h w K"]) -> Float[Array, "h w"]:
        sides = _sides(evidence, self.aperture, self.fuse)
        found = COMBINE[self.combine](sides)
        if self.anchor and self.combine != "position":
            found = found * _presence(sides)
        found = jnp.where(sides.flat, COMBINE["positive"](sides), found).reshape(evidence.shape[:2])
        return finite_only(found, evidence)


@dataclasses.dataclass(frozen=True)
class _Sides:
    Z: Float[Array, "K P"]
    b: Float[Array, " P"]
    u: Float[Array, " P"]
    flat: Bool[Array, ""]
    aperture: Number
    positive: Conceptor
    negative: Conceptor


def _sides(E: Array, aperture: Number, fuse: Fuse) -> _Sides:
    E = widen(E)
    b = jax.nn.relu(fuse(E))
    u = normalise(b).reshape(-1)
    flat = ~jnp.any(u > 0)
    Z = _unit_eigenvalues(E.reshape(-1, E.shape[-1]).T)
    positive = learned(Z, aperture, jnp.where(flat, 1, u))
    negative = learned(Z, aperture, 1 - u)
    return _Sides(Z, b.reshape(-1), u, flat, aperture, positive, negative)


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


def _mean(sides: _Sides) -> Array:
    return (evidence(sides.positive, sides.Z) + evidence(not_(sides.negative), sides.Z)) / 2


def _position(sides: _Sides) -> Array:
    size = jnp.sum(sides.Z * sides.Z, axis=0)
    columns = sides.Z / jnp.sqrt(jnp.where(size > 0, size, 1))[None]
    positions = learned(_unit_eigenvalues(columns.T), sides.aperture, None)
    return dot(matrix(positions), sides.b)


COMBINE: dict[str, Callable[[_Sides], Array]] = {
    "or": lambda sides: evidence(or_(sides.positive, not_(sides.negative)), sides.Z),
    "and": lambda sides: evidence(and_not(sides.positive, sides.negative), sides.Z),
    "mean": _mean,
    "positive": lambda sides: evidence(sides.positive, sides.Z),
    "position": _position,
}


def evidence_of(base: Callable, probe: Probe, image: Image, target: Array) -> Array:
    """The evidence that a method would fuse."""
    seen: list[Array] = []

    def keep(evidence: Array) -> Array:
        seen.append(evidence)
        return channel_sum(evidence)

    base(probe, image, target, fuse=keep)
    return widen(seen[-1])


def _check_anchor(anchor: object) -> None:
    if not isinstance(anchor, bool):
        raise ValueError(f"anchor is True or False; got {anchor!r}")


def _base(base: Callable | str) -> Callable:
    if callable(base):
        return base
    return choose("base method", base, BASES, show=99)


def _fuse_of(base: Callable) -> Fuse:
    option = inspect.signature(base).parameters.get("fuse")
    if option is None:
        raise ValueError(f"the base method {getattr(base, '__name__', base)} has no option `fuse`")
    return cast(Fuse, option.default) if callable(option.default) else channel_sum
