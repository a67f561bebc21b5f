"""Targets of outputs that have places: the pixels of a segmentation, the boxes of a detector.

Each is a `jax.tree_util.Partial`: a pytree, so its arrays pass through jit and can be mapped over images like any other
argument.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from .._dtypes import ArrayLike, widen
from .._errors import choose
from ._score import Index, check_classes, whole_number

# output of a detector for one image -> boxes (N, 4) and logits (N, classes)
Read = Callable[[PyTree], tuple[Array, Array]]


def segmentation(index: Index, mask: ArrayLike, *, reduce: Literal["sum", "mean"] = "sum") -> Partial:
    """Sum, or mean, of the logits of class `index` over the places of `mask`: Seg-Grad-CAM's target.

    Args:
        index: the class.
        mask: `(*space)`, such as `(H, W)`, of the size of the output: true or false, or a weight of each place.
        reduce: "sum", `Σ_i m_i s_ic`; or "mean", `Σ_i m_i s_ic / Σ_i m_i`, which does not grow with the region.

    The model's output for one image is `(*space, classes)`.

    Raises:
        ValueError: an unknown `reduce`; the mean over a mask that is zero everywhere; when it is called, an output of
            another size than the mask.
        TypeError: `index` is not a whole number.

    Source: Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
        Mapping", arXiv 2002.11434 [paper].
    """
    how = choose("reduce", reduce, {"sum": _sum, "mean": _mean})
    mask = jnp.asarray(mask)
    if reduce == "mean" and not isinstance(mask, jax.core.Tracer) and not np.asarray(mask).any():
        raise ValueError("the mask is zero everywhere, so there is nothing to take the mean of")
    return Partial(how, whole_number(index), mask)


def _sum(index: Array, mask: Array, output: Array) -> Array:
    shape = getattr(output, "shape", None)
    if shape is None or shape[:-1] != mask.shape:
        got = type(output).__name__ if shape is None else f"shape {shape}"
        raise ValueError(
            f"segmentation has a mask {mask.shape}, and so reads an output {(*mask.shape, 'classes')} for one image; "
            f"got {got}. A mask has the size of the output, and classes come last"
        )
    if not isinstance(index, jax.core.Tracer):
        check_classes(index, shape[-1])
    return jnp.sum(jnp.take(output, index, axis=-1) * mask.astype(output.dtype))


def _mean(index: Array, mask: Array, output: Array) -> Array:
    return _sum(index, mask, output) / jnp.sum(mask.astype(output.dtype))


def box(box: ArrayLike, index: Index, *, read: Read | None = None, overlap: float | Array = 0.5) -> Partial:
    """Logit of class `index` of the detection that fits a box: of all whose overlap with `box` is large enough, the one
    with the largest such logit.

    With `IoU_n` the intersection over union of the model's nth box with `box`, the score is
    `max { s_nc : IoU_n >= overlap }`. Its gradient is that of this one logit; boxes are compared, and have no gradient.
    It is NaN, and so is the map, where no box overlaps enough: there is no such detection to explain.

    Args:
        box: `(4,)`: x0, y0, x1, y1, in the unit of the model's boxes.
        index: the class.
        read: the model's output for one image -> its boxes `(N, 4)`, x0, y0, x1, y1, and its logits `(N, classes)`.
            A function by name compiles once; a lambda written anew compiles anew. By default the output is such a pair,
            or a dictionary with "boxes" and "logits".
        overlap: the smallest IoU, from above 0 to 1.

    Raises:
        ValueError: a box that is not four finite numbers, or has no area; an overlap out of range; when it is called,
            boxes or logits of another shape.
        TypeError: `index` is not a whole number; `read` is not callable; when it is called, an output that needs it.

    Source: as pytorch-grad-cam's FasterRCNNBoxScoreTarget, which adds the IoU to a probability [third party]; the
        choice by the logit and NaN for no detection [ours].

    Example:
        >>> import jax.numpy as jnp, jaxcam
        >>> boxes = jnp.array([[0.0, 0, 4, 4], [8, 8, 9, 9]])
        >>> logits = jnp.array([[1.0, 5], [3, 9]])
        >>> float(jaxcam.box([0, 0, 4, 5], 1)((boxes, logits)))
        5.0
    """
    if read is not None and not callable(read):
        raise TypeError(f"read is a function, output -> (boxes, logits); got {read!r}")
    corners = jnp.asarray(box, float)
    if corners.shape != (4,):
        raise ValueError(f"a box is x0, y0, x1, y1; got shape {corners.shape}")
    if not isinstance(corners, jax.core.Tracer):
        x0, y0, x1, y1 = np.asarray(corners, np.float64).tolist()
        if not (x0 < x1 < np.inf and -np.inf < y0 < y1 < np.inf and x0 > -np.inf):
            raise ValueError(f"a box is x0, y0, x1, y1 with x0 < x1 and y0 < y1; got {(x0, y0, x1, y1)}")
    if not isinstance(overlap, jax.core.Tracer) and not 0 < float(overlap) <= 1:
        raise ValueError(f"overlap is an intersection over union, from above 0 to 1; got {overlap}")
    reader = read if read is None or isinstance(read, Partial) else Partial(read)
    return Partial(_box, corners, whole_number(index), jnp.asarray(overlap, float), reader)


def _box(box: Array, index: Array, overlap: Array, read: Read | None, output: PyTree) -> Array:
    boxes, logits = _pair(output) if read is None else read(output)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or logits.ndim != 2 or logits.shape[0] != boxes.shape[0]:
        raise ValueError(
            f"box reads boxes (N, 4) and logits (N, classes) from the output for one image; got {boxes.shape} and "
            f"{logits.shape}"
        )
    if not isinstance(index, jax.core.Tracer):
        check_classes(index, logits.shape[1])
    scores = jnp.take(logits, index, axis=1)  # NaN for a class out of range that is not known before
    shares = _overlaps(jax.lax.stop_gradient(widen(boxes)), box)
    fits = shares >= overlap.astype(shares.dtype)
    best = jnp.argmax(jnp.where(fits, jax.lax.stop_gradient(scores), -jnp.inf))
    # times, so that the gradient is NaN too
    return scores[best] * jnp.where(fits.any(), 1, jnp.nan).astype(scores.dtype)


def _pair(output: PyTree) -> tuple[Array, Array]:
    if isinstance(output, Mapping) and {"boxes", "logits"} <= output.keys():
        return output["boxes"], output["logits"]
    if (
        isinstance(output, tuple | list)
        and len(output) == 2
        and all(hasattr(each, "ndim") for each in output)
    ):
        return output[0], output[1]
    kind = type(output).__name__
    if isinstance(output, Mapping):
        kind = f"a dictionary of {', '.join(map(str, output))}"
    raise TypeError(
        f"box reads a pair of boxes and logits, or a dictionary with 'boxes' and 'logits'; the model's output is "
        f"{kind}: pass read=, a function of it that returns (boxes, logits)"
    )


def _overlaps(boxes: Float[Array, "n 4"], box: Float[Array, " 4"]) -> Float[Array, " n"]:
    """Intersection over union of each box with `box`; 0 for a box without area."""
    box = box.astype(boxes.dtype)[None]
    sides = jnp.minimum(boxes[:, 2:], box[:, 2:]) - jnp.maximum(boxes[:, :2], box[:, :2])
    shared = jnp.prod(jnp.maximum(sides, 0), axis=1)
    areas = [jnp.prod(jnp.maximum(each[:, 2:] - each[:, :2], 0), axis=1) for each in (boxes, box)]
    union = areas[0] + areas[1] - shared
    return shared / jnp.where(union > 0, union, 1)
