"""Masked scoring: the model's score of an image under each of many masks.

The methods that score masks share this. Masks come at the layer's size; they are resized, scaled to [0, 1],
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
Baseline = str | Array | np.ndarray  # what stands where a mask is 0
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
    baseline: Baseline = "zero",
    chunk: int | None = None,
    align_corners: bool = False,
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Scores of the image under each mask `N(up(m))`, scaled to [0, 1] at the image's size.

    Args:
        probe: runs the model.
        image: `(*size, C)`.
        masks: at the layer's size, on any scale.
        read: output -> scalar, from `reader`.
        baseline: what stands where a mask is 0: "zero" (the mean colour of a normalised image), "blur" or an array
            that broadcasts to the image.
        chunk: masks at once.
        align_corners: of the resize; by default pixels are aligned at half-pixel centres.

    Returns:
        Scores, 0 for masks that are constant; and which masks are not constant.
    """
    behind = cover(image, baseline=baseline, align_corners=align_corners)
    scores = over_chunks(lambda mask: read(probe(behind(mask))[0]), masks, chunk, image.shape)
    valid = varies(masks)
    return jnp.where(valid, scores, 0), valid


def cover(
    image: Image, *, baseline: Baseline = "zero", align_corners: bool = False
) -> Callable[[Array], Array]:
    """A function that lays a mask of the layer's size, scaled to [0, 1] at the image's, over the image."""
    behind, size = overlaid(image, baseline=baseline), image.shape[:-1]
    enlarge = resize_corners if align_corners else resize
    return lambda mask: behind(normalise(enlarge(mask, size), rank=len(size)))


def overlaid(image: Image, *, baseline: Baseline = "zero") -> Callable[[Array], Array]:
    """A function that lays a mask `(*size)` of the image's size over the image: `x ⊙ m + b ⊙ (1 - m)`.

    Args:
        image: `(*size, C)`.
        baseline: b, "zero", "blur" or an array that broadcasts to the image.
    """
    picture = jnp.asarray(image)
    if isinstance(baseline, str):
        fill = choose("baseline", baseline, BASELINES)(picture)
    else:
        fill = jnp.broadcast_to(jnp.asarray(baseline, picture.dtype), picture.shape)

    def behind(mask):
        shown = mask[..., None].astype(picture.dtype)
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
    return along_space(maps, [jnp.asarray(_corners(old, new), maps.dtype) for old, new in sides])


def blur(
    image: Float[Array, "*image C"], *, reach: int = 5, deviation: float = 5.0, mirrored: bool = False
) -> Float[Array, "*image C"]:
    """Gaussian blur of `2 reach + 1` pixels along each axis; outside the image are zeros, or its mirror image."""
    kernels = [
        jnp.asarray(_gaussian(side, reach, deviation, mirrored), image.dtype) for side in image.shape[:-1]
    ]
    return jnp.moveaxis(along_space(jnp.moveaxis(image, -1, 0), kernels), 0, -1)


BASELINES = {"zero": lambda image: None, "blur": blur}


def along_space(maps: Array, kernels: list[Array]) -> Array:
    """Maps `(..., *old)` -> `(..., *new)` by a kernel `(new, old)` for each of the last axes."""
    old, new = "dhw"[-len(kernels) :], "DHW"[-len(kernels) :]
    first, *others = (f"{to}{of}" for to, of in zip(new, old, strict=True))
    axes = f"{','.join([first, f'...{old}', *others])}->...{new}"
    return jnp.einsum(axes, kernels[0], maps, *kernels[1:], precision=jax.lax.Precision.HIGHEST)


def outer(axes: list[Array]) -> Array:
    """The product of one vector for each axis, `(n,), (m,), ... -> (n, m, ...)`."""
    first, *others = axes
    for each in others:
        first = first[..., None] * jnp.expand_dims(each, tuple(range(first.ndim)))
    return first


def _corners(old: int, new: int) -> np.ndarray:
    """Weights `(new, old)` of linear interpolation from `old` to `new` places, the ends on the ends."""
    at = np.linspace(0, old - 1, new)[:, None]
    return np.maximum(0, 1 - np.abs(at - np.arange(old)))


def _gaussian(side: int, reach: int, deviation: float, mirrored: bool) -> np.ndarray:
    """Weights `(side, side)`. The mirror image repeats no pixel at the border, as torch's padding "reflect"."""
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / deviation) ** 2)
    kernel /= kernel.sum()
    to = np.arange(side)[:, None] + np.zeros_like(steps)
    of, share = to + steps, np.broadcast_to(kernel, to.shape)
    if mirrored:
        turn = max(1, 2 * (side - 1))
        of = np.minimum(of % turn, turn - of % turn) if side > 1 else np.zeros_like(of)
    inside = (of >= 0) & (of < side)
    weights = np.zeros((side, side))
    np.add.at(weights, (to[inside], of[inside]), share[inside])
    return weights
