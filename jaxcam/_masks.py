"""Masked scoring: the model's score of an image under each of many masks.

Score-CAM, Abs-CAM and Cluster-CAM share this. Masks come at the layer's size; they are resized, scaled to [0, 1],
laid over the image and forwarded a chunk at a time, so that neither masks nor images of full size exist all at once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ._display import normalise, resize
from ._dtypes import widen
from ._errors import choose
from .devices._chunks import over_chunks
from .probes._probe import Image, Probe
from .targets import _score
from .targets._score import Target, settle

Read = Callable[[PyTree], Array]
SCORES = ("softmax", "logit")


def reader(output: PyTree, target: Target, score: str) -> Read:
    """How a masked image's output is read: the target's softmax probability or logit.

    Args:
        output: of the whole image. It fixes the class once and for all masks where `target` is None.
        target: a class index, None, or a callable. A callable's value is the score itself, whichever `score` is.
        score: "softmax" or "logit".
    """
    choose("score", score, SCORES)
    target = settle(output, target)
    if callable(target) or score == "logit":
        return lambda seen: widen(_score.score(seen, target))
    _score.score(output, target)  # raises where the output is not a vector of logits
    return lambda seen: _score.score(jax.nn.softmax(widen(seen)), target)


def score_masks(
    probe: Probe,
    image: Image,
    masks: Float[Array, "n *space"],
    read: Read,
    *,
    baseline: str = "zero",
    chunk: int | None = None,
    align_corners: bool = False,
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Scores of the image under each mask `N(up(m))`, scaled to [0, 1] at the image's size.

    Args:
        probe: runs the model.
        image: `(*size, C)`.
        masks: at the layer's size, on any scale.
        read: output -> scalar, from `reader`.
        baseline: what stands where a mask is 0: "zero" (the mean colour of a normalised image) or "blur".
        chunk: masks at once.
        align_corners: of the resize; by default pixels are aligned at half-pixel centres.

    Returns:
        Scores, 0 for masks that are constant; and which masks are not constant.
    """
    behind = cover(image, baseline=baseline, align_corners=align_corners)
    scores = over_chunks(lambda mask: read(probe(behind(mask))[0]), masks, chunk, image.shape)
    valid = varies(masks)
    return jnp.where(valid, scores, 0), valid


def cover(image: Image, *, baseline: str = "zero", align_corners: bool = False) -> Callable[[Array], Array]:
    """A function that lays a mask of the layer's size, scaled to [0, 1] at the image's, over the image."""
    fill = choose("baseline", baseline, BASELINES)(jnp.asarray(image))
    enlarge = resize_corners if align_corners else resize

    picture, size = jnp.asarray(image), image.shape[:-1]

    def behind(mask):
        shown = normalise(enlarge(mask, size), rank=len(size))[..., None].astype(picture.dtype)
        return picture * shown if fill is None else picture * shown + fill * (1 - shown)

    return behind


def varies(maps: Float[Array, "n *space"]) -> Bool[Array, " n"]:
    """Whether each map is not constant, by the rule of `jaxcam.normalise`."""
    rank = maps.ndim - 1
    return jnp.any(normalise(maps, rank=rank) > 0, axis=tuple(range(1, maps.ndim)))


def resize_corners(maps: Float[Array, "..."], size: tuple[int, ...]) -> Float[Array, "..."]:
    """Linear resize that keeps the corners in place, as torch's `UpsamplingBilinear2d` does, of the last axes, as many
    as `size` has entries."""
    sides = zip(maps.shape[-len(size) :], size, strict=True)
    return _along_space(maps, [jnp.asarray(_corners(old, new), maps.dtype) for old, new in sides])


def blur(image: Float[Array, "*image C"]) -> Float[Array, "*image C"]:
    """Gaussian blur of 11 pixels along each axis and deviation 5, zeros outside the image."""
    kernels = [jnp.asarray(_gaussian(side), image.dtype) for side in image.shape[:-1]]
    return jnp.moveaxis(_along_space(jnp.moveaxis(image, -1, 0), kernels), 0, -1)


BASELINES = {"zero": lambda image: None, "blur": blur}


def _along_space(maps: Array, kernels: list[Array]) -> Array:
    """Maps `(..., *old)` -> `(..., *new)` by a kernel `(new, old)` for each of the last axes."""
    old, new = "dhw"[-len(kernels) :], "DHW"[-len(kernels) :]
    first, *others = (f"{to}{of}" for to, of in zip(new, old, strict=True))
    axes = f"{','.join([first, f'...{old}', *others])}->...{new}"
    return jnp.einsum(axes, kernels[0], maps, *kernels[1:], precision=jax.lax.Precision.HIGHEST)


def _corners(old: int, new: int) -> np.ndarray:
    """Weights `(new, old)` of linear interpolation from `old` to `new` places, the ends on the ends."""
    at = np.linspace(0, old - 1, new)[:, None]
    return np.maximum(0, 1 - np.abs(at - np.arange(old)))


def _gaussian(side: int, *, reach: int = 5, deviation: float = 5.0) -> np.ndarray:
    apart = np.arange(side)[:, None] - np.arange(side)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.where(np.abs(apart) <= reach, np.exp(-0.5 * (apart / deviation) ** 2), 0) / kernel.sum()
