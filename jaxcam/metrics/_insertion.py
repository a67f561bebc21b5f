"""Insertion and Deletion: the target's probability while pixels come or go, the most salient first."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from .._masks import blur
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import confidence, measure, over
from ._inputs import check_count, of_image
from ._registry import STEPS


def insertion(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    steps: int = STEPS,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Insertion of each image: `AUC = Σ_k (p_k + p_{k+1}) / (2 steps)` from the blurred picture to the picture.

    After k of the steps, the `floor(k P / steps)` pixels of highest saliency (row by row among equals), of P, are the
    image's and the others those of its blur. Higher is better.

    The blur is a Gaussian of 11 x 11 pixels (11 along each axis) with a deviation of 5, with zeros (the mean colour)
    beyond the border.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: an integer, integers `(B,)`, or None for the most likely class of the image.
        maps: `(B, *space)` in [0, 1]; only their order counts.
        steps: of the way from the first picture to the last; `steps + 1` points.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        Area under the curve `(B,)`, by the trapezoid rule, in [0, 1].

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite or leave [0, 1],
            steps or chunk below 1.
        TypeError: images or maps that are not of floating point, targets that are not class indices.

    Source: Petsiuk et al. 2018, "RISE", arXiv 1806.07421 [paper]; its code's blur folds the Gaussian at the window's
    edge, here it is cut off [ours].
    """
    return _run(insertions, probe, images, targets, maps, steps, chunk)["insertion"]


def deletion(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    steps: int = STEPS,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Deletion of each image: `AUC = Σ_k (p_k + p_{k+1}) / (2 steps)` from the picture to zeros (the mean colour).

    After k of the steps, the `floor(k P / steps)` pixels of highest saliency (row by row among equals) are 0. Lower
    is better.

    Args:
        probe, images, targets, maps, steps, chunk: as in `insertion`: `(B, *space, C)` and `(B, *space)`.

    Returns:
        Area under the curve `(B,)`, by the trapezoid rule, in [0, 1].

    Source: Petsiuk et al. 2018, "RISE", arXiv 1806.07421 [paper].
    """
    return _run(deletions, probe, images, targets, maps, steps, chunk)["deletion"]


def insertion_curve(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    steps: int = STEPS,
    chunk: int | None = None,
) -> Float[Array, "B points"]:
    """The curve under which `insertion` is the area: probabilities `(B, steps + 1)`; the last is the image's own.

    Args:
        probe, images, targets, maps, steps, chunk: as in `insertion`: `(B, *space, C)` and `(B, *space)`.
    """
    return _run(insertions, probe, images, targets, maps, steps, chunk)["insertion_curve"]


def deletion_curve(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    steps: int = STEPS,
    chunk: int | None = None,
) -> Float[Array, "B points"]:
    """The curve under which `deletion` is the area: probabilities `(B, steps + 1)`; the first is the image's own.

    Args:
        probe, images, targets, maps, steps, chunk: as in `insertion`: `(B, *space, C)` and `(B, *space)`.
    """
    return _run(deletions, probe, images, targets, maps, steps, chunk)["deletion_curve"]


def _run(family, probe, images, targets, maps, steps, chunk):
    options = (("steps", check_count("steps", steps)),)
    return measure(probe, images, targets, maps, (family, options), chunk=chunk)


def insertions(probe, images, targets, clean, maps, key, *, steps, chunk) -> dict[str, Array]:
    """The family, for `run`. The curve's last point is the plain forward pass."""
    turned = _turned(range(steps), steps, images)
    points = turning(probe, targets, jax.vmap(rank)(maps), jax.vmap(blur)(images), images, turned, chunk)
    curve = jnp.concatenate([points, clean[:, None]], axis=1)
    return {"insertion": _area(curve), "insertion_curve": curve}


def deletions(probe, images, targets, clean, maps, key, *, steps, chunk) -> dict[str, Array]:
    """The family, for `run`. The curve's first point is the plain forward pass."""
    turned = _turned(range(1, steps + 1), steps, images)
    points = turning(probe, targets, jax.vmap(rank)(maps), images, jnp.zeros_like(images), turned, chunk)
    curve = jnp.concatenate([clean[:, None], points], axis=1)
    return {"deletion": _area(curve), "deletion_curve": curve}


def _turned(which: range, steps: int, images: Array) -> list[int]:
    """How many pixels have turned after each of the steps in `which`."""
    return [k * math.prod(images.shape[1:-1]) // steps for k in which]


def turning(probe, targets, ranks, before, after, turned, chunk) -> Float[Array, "B points"]:
    """The score once the pixels whose rank is below each number in `turned` are those of `after`, not of `before`."""
    counts = jnp.asarray(turned, dtype=jnp.int32)

    def one(job):
        image, step = job // len(turned), job % len(turned)
        now = (ranks[image] < counts[step])[..., None]
        return confidence(probe, jnp.where(now, after[image], before[image]), of_image(targets, image))

    return over(len(ranks) * len(turned), chunk, one).reshape(len(ranks), len(turned))


def rank(shown: Float[Array, "*space"]) -> Array:
    """Each pixel's place in descending order of saliency, from 0; row by row among equals."""
    order = jnp.argsort(shown.ravel(), descending=True, stable=True)
    places = jnp.arange(order.size, dtype=jnp.int32)
    return jnp.zeros_like(places).at[order].set(places).reshape(shown.shape)


def _area(curve: Float[Array, "B points"]) -> Float[Array, "B"]:
    return jnp.mean((curve[:, 1:] + curve[:, :-1]) / 2, axis=1)
