"""What the masked picture x ⊙ L keeps of the target's probability: Average Drop, Increase and Gain."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import confidence, masked, measure, over
from ._inputs import of_image


def average_drop(
    probe: Probe, images: ArrayLike, targets: Targets, maps: ArrayLike, *, chunk: int | None = None
) -> Float[Array, "B"]:
    """Average Drop of each image: `100 max(0, Y - O) / Y`, with `Y = p_c(x)` and `O = p_c(x ⊙ L)`.

    Lower is better, but a map of ones has none: read it beside insertion and deletion, or ROAD, and complexity.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, *space, C)` of floating point, preprocessed for the model: what is masked becomes the mean colour.
        targets: class c: an integer, integers `(B,)`, or None for the most likely class of the unmasked image.
        maps: `(B, *space)` in [0, 1], as `jaxcam.explain` returns them.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `(B,)` in percent, 0 to 100; 0 where Y is 0. The mean over images is the published figure.

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite or leave [0, 1].
        TypeError: images or maps that are not of floating point, targets that are not class indices.

    Source: Chattopadhay et al. 2018, "Grad-CAM++", arXiv 1710.11063 [paper]; 0 where Y is 0 [ours].
    """
    return _run(probe, images, targets, maps, chunk)["average_drop"]


def average_increase(
    probe: Probe, images: ArrayLike, targets: Targets, maps: ArrayLike, *, chunk: int | None = None
) -> Float[Array, "B"]:
    """Average Increase (increase in confidence) of each image: `100 [O > Y]`. Higher is better.

    Args:
        probe, images, targets, maps, chunk: as in `average_drop`: `(B, *space, C)` and `(B, *space)`.

    Returns:
        `(B,)` in percent, 0 or 100; 0 where the masked image is the image. The mean over images is the published
        figure.

    Source: Chattopadhay et al. 2018, "Grad-CAM++", arXiv 1710.11063 [paper].
    """
    return _run(probe, images, targets, maps, chunk)["average_increase"]


def average_gain(
    probe: Probe, images: ArrayLike, targets: Targets, maps: ArrayLike, *, chunk: int | None = None
) -> Float[Array, "B"]:
    """Average Gain of each image: `100 max(0, O - Y) / (1 - Y)`. Higher is better.

    Args:
        probe, images, targets, maps, chunk: as in `average_drop`: `(B, *space, C)` and `(B, *space)`.

    Returns:
        `(B,)` in percent, 0 to 100; 0 where Y is 1.

    Source: Zhang et al. 2024, "Opti-CAM", arXiv 2301.07002 [paper]; 0 where Y is 1 [ours].
    """
    return _run(probe, images, targets, maps, chunk)["average_gain"]


def _run(probe, images, targets, maps, chunk):
    return measure(probe, images, targets, maps, (drops, ()), chunk=chunk)


def drops(probe, images, targets, clean, maps, key, *, chunk) -> dict[str, Array]:
    """The family, for `run`."""

    def one(job):
        image = images[job]
        seen = masked(image, maps[job])
        # The same picture has the same probability, whatever rounding another batch brings: no increase by noise.
        return jnp.where(jnp.all(seen == image), clean[job], confidence(probe, seen, of_image(targets, job)))

    kept = over(images.shape[0], chunk, one)
    lost, won = jnp.maximum(clean - kept, 0), jnp.maximum(kept - clean, 0)
    return {
        "average_drop": 100 * _share(lost, clean),
        "average_increase": jnp.where(kept > clean, 100, jnp.zeros_like(clean)),
        "average_gain": 100 * _share(won, 1 - clean),
    }


def _share(part: Array, whole: Array) -> Array:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
