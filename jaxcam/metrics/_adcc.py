"""ADCC: Average Drop, Coherency and Complexity in one figure, so that a map of ones no longer wins."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from .._explain import explain
from .._method import Method
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import masked, measure
from ._correlation import pearson
from ._drop import drops
from ._inputs import check, check_maps


def complexity(maps: ArrayLike, *, rank: int = 2) -> Float[Array, "B"]:
    """Complexity of each map: `mean |L|`. Lower is better: a map should single out little.

    Args:
        maps: `(B, *space)`.
        rank: the number of their spatial axes: 1 for signals, 2 for pictures, 3 for volumes.

    Returns:
        `(B,)`, in [0, 1] for displayed maps.

    Raises:
        ValueError: maps of another shape, or not finite.

    Source: Poppi et al. 2021, "Revisiting the evaluation of CAM", arXiv 2104.10252 [paper].
    """
    return _complexity(check_maps(maps, rank=rank))


def coherency(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    method: Method | str,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """Coherency of each image: `(Pearson(L(x), L(x ⊙ L)) + 1) / 2`: the masked image should have the same map.

    Args:
        probe: the layer that the maps are of, from `jaxcam.probe`.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: an integer, integers `(B,)`, or None for the most likely class of the unmasked image, which then is
            the masked image's target too.
        maps: `(B, *space)` in [0, 1], as `jaxcam.explain` returned them with this method and these options.
        method: what made the maps: a function of `jaxcam.METHODS`, or its name.
        chunk: forward passes at once, outside of the method; by default as in `average_drop`.
        **options: the method's options.

    Returns:
        `(B,)` in [0, 1]; 1/2 where a map is constant, which correlates with nothing.

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite or leave [0, 1], an
            unknown method.
        TypeError: arguments of the wrong type, an option that the method does not have.

    Source: Poppi et al. 2021, arXiv 2104.10252 [paper]; constant maps [ours].
    """
    return _run(probe, images, targets, maps, method, chunk, options)["coherency"]


def adcc(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    method: Method | str,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """ADCC of each image: `3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))`, drop a share.

    Higher is better.

    Args:
        probe, images, targets, maps, method, chunk, **options: as in `coherency`: `(B, *space, C)` and `(B, *space)`.

    Returns:
        `(B,)` in [0, 1]; 0 where one of the three is 0, as for a map of ones.

    Source: Poppi et al. 2021, "Revisiting the evaluation of CAM", arXiv 2104.10252 [paper].
    """
    return _run(probe, images, targets, maps, method, chunk, options)["adcc"]


def _run(probe, images, targets, maps, method, chunk, options):
    images, _, maps = check(probe, images, targets, maps)
    results = measure(probe, images, targets, maps, (drops, ()), chunk=chunk)
    return combine(probe, images, targets, maps, results, method, options)


def combine(probe, images, targets, maps, results, method, options) -> dict[str, Array]:
    """Coherency and ADCC, from what `run` has found. The masked image's target is the whole image's."""
    settled = results["target"] if targets is None else targets
    again = explain(probe, _masked(images, maps), settled, method=method, **options)
    return _combine(maps, again, results.get("average_drop", results["confidence"]))


@jax.jit
def _masked(images, maps):
    return jax.vmap(masked)(images, maps)


@jax.jit
def _combine(maps, again, drop):
    coherent = (jax.vmap(pearson)(maps.astype(again.dtype), again) + 1) / 2
    simple, kept = 1 - _complexity(maps).astype(again.dtype), 1 - drop.astype(again.dtype) / 100
    return {"coherency": coherent, "adcc": harmonic(coherent, simple, kept)}


def harmonic(*parts: Float[Array, "B"]) -> Float[Array, "B"]:
    """The harmonic mean of parts in [0, 1]; 0 where one of them is 0."""
    stacked = jnp.stack(parts)
    some = jnp.all(stacked > 0, axis=0)
    return jnp.where(some, len(parts) / jnp.sum(1 / jnp.where(some[None], stacked, 1), axis=0), 0)


@jax.jit
def _complexity(maps):
    return jnp.mean(jnp.abs(maps), axis=tuple(range(1, maps.ndim)))
