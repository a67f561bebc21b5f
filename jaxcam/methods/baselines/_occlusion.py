"""Occlusion: the score that is lost where a window of the layer is covered."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._dtypes import widen
from ..._errors import check_count, choose
from ..._fuse import finite_only
from ..._masks import SCORES, along_space, outer, reader
from ..._method import of_probe
from ...devices._chunks import over_chunks
from ...probes._probe import Image, Probe
from ...targets._score import Target


@of_probe
def occlusion(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    patch: int | tuple[int, ...] | None = None,
    stride: int | tuple[int, ...] | None = None,
    baseline: float | int = 0.0,
    score: str = "logit",
    chunk: int | None = None,
) -> Float[Array, "*space"]:
    """Occlusion: `M = mean_o (s - s_o)` at every position, over the windows o that cover it, s_o being the score with
    all channels inside the window set to the baseline. No gradient.

    Windows lie a stride apart from the first position on; the last of a side is cut off at its end. At `jaxcam.INPUT`
    it is the classic. At any other layer its activation is occluded, and only what follows the layer runs again. A
    callable target's value is the score.

    When: a check that needs no gradient and no theory: what is lost when a patch is covered.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        patch: sides of a window in positions of the layer, one number or one for each axis; by default an eighth of
            the layer's, rounded up.
        stride: from one window to the next, one number or one for each axis, at most the patch; by default half of
            the patch, rounded up.
        baseline: what stands inside the window. 0 is the mean colour of a normalised image.
        score: "logit"; or "softmax": the target's probability.
        chunk: windows that are scored at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Raises:
        ValueError: a patch beyond the layer, a stride beyond the patch, `chunk` below 1, an unknown score.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv 1311.2901 [paper];
    windows and their mean as captum's Occlusion, whose patch has no default [third party]; the patch's default [ours].
    """
    choose("score", score, SCORES)
    output, activation = probe(image)
    read, space = reader(output, target, score), activation.shape[:-1]
    patches = _sides("patch", patch, space, [math.ceil(side / 8) for side in space], space)
    strides = _sides("stride", stride, space, [math.ceil(side / 2) for side in patches], patches)
    # Where each window begins along each axis, and which positions it covers: (windows, positions).
    axes = [
        jnp.asarray(_windows(*each), widen(activation).dtype)
        for each in zip(space, patches, strides, strict=True)
    ]
    counts = tuple(len(each) for each in axes)

    def without(window: Array) -> Array:
        inside = [axis[at] for axis, at in zip(axes, jnp.unravel_index(window, counts), strict=True)]
        covered = outer(inside)[..., None] > 0
        left = jnp.where(covered, jnp.asarray(baseline, activation.dtype), activation)
        # the activation found on the way is not used, so what comes before the layer is never run
        return read(probe(image, lambda _: left)[0])

    whole = read(output)
    lost = whole - over_chunks(without, jnp.arange(math.prod(counts)), chunk, image.shape)
    spread = along_space(lost.reshape(counts), [axis.T.astype(lost.dtype) for axis in axes])
    return finite_only(spread / outer([jnp.sum(axis, axis=0) for axis in axes]), activation)


def _sides(
    name: str,
    given: int | tuple[int, ...] | None,
    space: tuple[int, ...],
    default: list[int],
    limits: tuple[int, ...],
) -> tuple[int, ...]:
    """One number for each axis, from 1 to its limit."""
    if given is None:
        return tuple(default)
    sides = given if isinstance(given, tuple) else (given,) * len(space)
    for each in sides:
        check_count(name, each)
    if len(sides) != len(space) or any(side > limit for side, limit in zip(sides, limits, strict=True)):
        raise ValueError(
            f"{name} must be one number, or one for each of the layer's {len(space)} axes, at most {limits}; got "
            f"{given!r}"
        )
    return sides


def _windows(side: int, patch: int, stride: int) -> np.ndarray:
    begin = stride * np.arange(math.ceil((side - patch) / stride) + 1)[:, None]
    at = np.arange(side)
    return ((at >= begin) & (at < begin + patch)).astype(float)
