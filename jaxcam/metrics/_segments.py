"""Does the map lie on the object, where the object is a mask: relevance mass, rank accuracy and IoU."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .._dtypes import ArrayLike, HasArray, widen
from ._inputs import check_maps
from ._insertion import rank as rank_of

Masks = Bool[Array | np.ndarray, "B *space"] | HasArray


def relevance_mass(maps: ArrayLike, masks: Masks) -> Float[Array, "B"]:
    """Relevance mass accuracy of each map: `Σ_inside L / Σ L`. Higher is better.

    Args:
        maps: `(B, *space)`, at least 0.
        masks: `(B, *space)`, boolean: the pixels of the object.

    Returns:
        `(B,)`, shares in [0, 1]; 0 for a map of zeros.

    Raises:
        ValueError: maps and masks of different shapes, a mask of no pixel, maps that are not finite or negative.
        TypeError: masks that are not boolean.

    Source: Arras et al. 2022, "CLEVR-XAI", arXiv 2003.07258 [paper]; 0 for a map of zeros [ours].
    """
    maps, masks = _check(maps, masks)
    if not isinstance(maps, Tracer) and jnp.min(maps) < 0:
        raise ValueError(f"relevance mass needs maps of at least 0; these reach {jnp.min(maps):.3g}")
    return _mass(maps, masks)


def rank_accuracy(maps: ArrayLike, masks: Masks) -> Float[Array, "B"]:
    """Relevance rank accuracy of each map: `|top-K ∩ S| / K`, K the number of pixels of the mask S. Higher is better.

    Args:
        maps: `(B, *space)`; only their order counts, row by row among equals.
        masks: `(B, *space)`, boolean: the pixels of the object.

    Returns:
        `(B,)`, shares in [0, 1].

    Raises:
        ValueError: maps and masks of different shapes, a mask of no pixel, maps that are not finite.
        TypeError: masks that are not boolean.

    Source: Arras et al. 2022, "CLEVR-XAI", arXiv 2003.07258 [paper].
    """
    return _rank_accuracy(*_check(maps, masks))


def iou(maps: ArrayLike, masks: Masks, *, threshold: float | int = 0.5) -> Float[Array, "B"]:
    """Intersection over union of each map, cut at a threshold, and the mask: `|L ≥ t ∩ S| / |L ≥ t ∪ S|`.

    Higher is better.

    Args:
        maps: `(B, *space)`, displayed: in [0, 1].
        masks: `(B, *space)`, boolean: the pixels of the object.
        threshold: t, above 0 and at most 1; a share of the map's highest value where that is 1, as in displayed maps.

    Returns:
        `(B,)`, shares in [0, 1].

    Raises:
        ValueError: maps and masks of different shapes, a mask of no pixel, maps that are not finite or leave [0, 1], a
            threshold out of range.
        TypeError: masks that are not boolean.

    Source: Jaccard's index; the threshold is of the displayed map [ours].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1; got {threshold}")
    return _iou(*_check(maps, masks, unit=True), threshold)


def _check(maps: ArrayLike, masks: Masks, *, unit: bool = False) -> tuple[Array, Array]:
    if not isinstance(masks, jax.Array | np.ndarray):
        masks = np.asarray(masks)
    if masks.dtype != bool:
        raise TypeError(f"masks must be boolean, True on the object's pixels; got dtype {masks.dtype}")
    maps = check_maps(maps, unit=unit, rank=min(max(masks.ndim - 1, 1), 3))
    if masks.shape != maps.shape:
        raise ValueError(f"each map needs a mask of its size: got {maps.shape} and {tuple(masks.shape)}")
    if not isinstance(masks, Tracer):
        empty = np.flatnonzero(~np.asarray(masks.any(axis=tuple(range(1, masks.ndim)))))
        if empty.size:
            raise ValueError(f"the mask of image {empty[0]} has no pixel: leave it out")
    return maps, jnp.asarray(masks)


def _space(maps: Array) -> tuple[int, ...]:
    return tuple(range(1, maps.ndim))


@jax.jit
def _mass(maps, masks):
    maps = widen(maps)
    total, inside = jnp.sum(maps, _space(maps)), jnp.sum(jnp.where(masks, maps, 0), _space(maps))
    return jnp.where(total > 0, inside / jnp.where(total > 0, total, 1), 0)


@jax.jit
def _rank_accuracy(maps, masks):
    size = jnp.sum(masks, _space(masks), keepdims=True, dtype=jnp.int32)
    hits = masks & (jax.vmap(rank_of)(maps) < size)
    return _share(jnp.sum(hits, _space(masks)), size.ravel(), maps)


@jax.jit
def _iou(maps, masks, threshold):
    shown = maps >= jnp.asarray(threshold, maps.dtype)
    both, either = (jnp.sum(each, _space(maps)) for each in (shown & masks, shown | masks))
    return _share(both, either, maps)


def _share(part: Array, whole: Array, maps: Array) -> Array:
    kind = widen(maps).dtype
    return part.astype(kind) / whole.astype(kind)
