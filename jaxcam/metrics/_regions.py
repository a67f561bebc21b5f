"""Pixel flipping: the score while square regions are removed, the most relevant first."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._dtypes import ArrayLike, widen
from .._errors import choose
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import measure
from ._inputs import check_count
from ._insertion import rank, turning

PATCH = 8
REGIONS = 100
ORDERS = ("morf", "lerf")


def pixel_flipping(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    patch: int = PATCH,
    regions: int = REGIONS,
    order: str = "morf",
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Pixel flipping of each image, the area over the curve: `Σ_k (s_0 - s_k) / (n + 1)`, k = 0 .. n regions removed.

    Regions are squares of `patch` pixels a side (cut off at the far border), removed in the order of the sum of the
    map in them, row by row among equals; a removed pixel is 0, the mean colour. Higher is better.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: as in `average_drop`: s is the probability of a class, or the value of a callable.
        maps: `(B, *space)`, displayed or signed, at the images' size; only the order of the regions counts.
        patch: side of a region, in pixels.
        regions: n, the number that is removed; all of them where there are fewer.
        order: "morf", the most relevant first, or "lerf", the least relevant first: then lower is better.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `(B,)`, in [-1, 1] for the probability of a class.

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite, a patch or regions
            below 1, an unknown order.
        TypeError: images or maps that are not of floating point, targets that are neither class indices nor callables.

    Source: Bach et al. 2015 and Samek et al. 2017, arXiv 1509.06321 [paper]; the sum in a region, 8 pixels and 100
    regions are Quantus' region perturbation [third party], which centres the regions.
    """
    return _run(probe, images, targets, maps, patch, regions, order, chunk)["pixel_flipping"]


def pixel_flipping_curve(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    patch: int = PATCH,
    regions: int = REGIONS,
    order: str = "morf",
    chunk: int | None = None,
) -> Float[Array, "B points"]:
    """The curve over which `pixel_flipping` is the area: scores `(B, n + 1)`, of which the first is the image's own.

    Args:
        probe, images, targets, maps, patch, regions, order, chunk: as in `pixel_flipping`: `(B, *space, C)` and
            `(B, *space)`.
    """
    return _run(probe, images, targets, maps, patch, regions, order, chunk)["pixel_flipping_curve"]


def _run(probe, images, targets, maps, patch, regions, order, chunk):
    options = ("patch", check_count("patch", patch)), ("regions", check_count("regions", regions))
    family = flips, (*options, ("order", choose("order", order, ORDERS)))
    return measure(probe, images, targets, maps, family, chunk=chunk, unit=False)


def flips(probe, images, targets, clean, maps, key, *, patch, regions, order, chunk) -> dict[str, Array]:
    """The family, for `run`."""
    numbers, count = regions_of(images.shape[1:-1], patch)
    sign = 1 if order == "morf" else -1

    def ranks(shown):
        sums = jax.ops.segment_sum(widen(shown).ravel(), numbers.ravel(), num_segments=count)
        return rank(sign * sums)[numbers]

    removed = range(1, min(regions, count) + 1)
    points = turning(probe, targets, jax.vmap(ranks)(maps), images, jnp.zeros_like(images), removed, chunk)
    curve = jnp.concatenate([clean[:, None], points], axis=1)
    return {"pixel_flipping": jnp.mean(clean[:, None] - curve, axis=1), "pixel_flipping_curve": curve}


def regions_of(space: tuple[int, ...], patch: int) -> tuple[np.ndarray, int]:
    """The number of the region that each pixel is in, row by row, and how many there are."""
    sides = [-(-side // patch) for side in space]
    places = np.meshgrid(*(np.arange(side) // patch for side in space), indexing="ij")
    return np.ravel_multi_index(tuple(places), sides).astype(np.int32), math.prod(sides)
