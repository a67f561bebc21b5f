"""Does a raw map add up to the score: completeness."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import check_images
from .._dtypes import ArrayLike, widen
from ..probes._probe import Probe
from ..targets import _score
from ..targets._several import Targets
from ._confidence import chunk_of, over, settled
from ._inputs import check_maps, check_targets, of_image


def completeness(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    baseline: ArrayLike = 0.0,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Completeness of each image, the error of the sum: `|Σ M - (s(x) - s(x0))|`, s the logit. 0 is best.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: an integer, integers `(B,)`, None for the most likely class of the image, or a callable, whose value
            is s.
        maps: raw maps `(B, *space)`, at the layer's size, as `jaxcam.explain` with raw=True returns them.
        baseline: x0, which broadcasts to an image; 0 is the mean colour.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `(B,)`, at least 0, in units of s.

    Raises:
        ValueError: counts that disagree, a class out of range, maps that are not finite, a baseline of another shape.
        TypeError: images or maps that are not of floating point, targets that are neither class indices nor callables.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv 1703.01365 [paper]; the error
    rather than whether it is 0 [ours].
    """
    images = check_images(images)
    bound = check_targets(probe, images, targets)
    maps = check_maps(maps, rank=images.ndim - 2)
    if len(maps) != len(images):
        raise ValueError(f"each image needs its map: got {len(images)} images and {len(maps)} maps")
    start = jnp.asarray(baseline, images.dtype)
    try:
        start = jnp.broadcast_to(start, images.shape[1:])
    except ValueError:
        raise ValueError(
            f"baseline must broadcast to an image {images.shape[1:]}; got shape {start.shape}"
        ) from None
    if bound is None:
        bound = settled(probe, images, None, chunk=chunk)
    return _error(probe, images, bound, maps, start, chunk=chunk_of(probe, images, chunk))


def _compute(probe, images, targets, maps, start, *, chunk):
    def one(job):
        target = of_image(targets, job)
        there, back = (widen(_score.score(probe(each)[0], target)) for each in (images[job], start))
        return there - back

    gained = over(len(images), max(1, math.ceil(chunk / 2)), one)
    return jnp.abs(jnp.sum(widen(maps), axis=tuple(range(1, maps.ndim))) - gained)


_error = jax.jit(_compute, static_argnames="chunk")
