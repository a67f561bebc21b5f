"""What is explained: a scalar score of the model's output.

A target is one of

- an integer c: the raw logit of class c,
- None: the raw logit of the most likely class (of the lowest index among equals),
- any callable `output -> scalar`, where `output` is the model's output for one image.

The callables below are `jax.tree_util.Partial` objects: pytrees, so their arrays pass through jit and can be
mapped over images like any other argument.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from ._dtypes import ArrayLike

Index = int | np.integer | Array | np.ndarray  # of a class: an integer scalar
Target = Index | Callable[[PyTree], Array] | None


def score(output: PyTree, target: Target) -> Float[Array, ""]:
    """The scalar that `target` reads from `output`, the model's output for one image.

    Args:
        output: logits `(classes,)`, or whatever the model returns where `target` is a callable.
        target: an integer, None or a callable.

    Raises:
        ValueError: a class out of range, an output that is not a vector of logits, a score that is not a scalar.
        TypeError: a target of another kind.

    A class index that is only known when the program runs cannot raise: out of range it scores NaN.
    """
    if callable(target):
        value = jnp.asarray(target(output))
        if value.shape != ():
            raise ValueError(f"a target must return a scalar; {_name(target)} returned shape {value.shape}")
        return value
    logits = _logits(output)
    if target is None:
        return logits[jnp.argmax(logits)]
    index = class_index(target, logits.shape[0])
    inside = (index >= 0) & (index < logits.shape[0])
    # times, so that the gradient is NaN too
    return logits[jnp.clip(index, 0, logits.shape[0] - 1)] * jnp.where(inside, 1, jnp.nan).astype(
        logits.dtype
    )


def class_index(target: Index, classes: int) -> Array:
    """`target` checked to be one class index, in range wherever its value is known."""
    if isinstance(target, bool | str | float):
        raise TypeError(f"a target must be a class index, None or a callable; got {target!r}")
    if not isinstance(target, jax.core.Tracer):
        check_classes(target, classes)
    index = jnp.asarray(target)
    if not jnp.issubdtype(index.dtype, jnp.integer):
        raise TypeError(f"a class index must be an integer; got dtype {index.dtype}")
    if index.shape != ():
        raise ValueError(
            f"one image takes one target; got shape {index.shape}. Map over several with jax.vmap."
        )
    return index


def check_classes(targets: ArrayLike, classes: int) -> None:
    """Raises ValueError naming the first class index outside `0 .. classes - 1`."""
    values = np.asarray(targets).ravel()
    if values.dtype.kind not in "iu":
        raise TypeError(f"class indices must be integers; got dtype {values.dtype}")
    outside = values[(values < 0) | (values >= classes)]
    if outside.size:
        raise ValueError(f"no class {outside[0]}: the model has {classes} classes, 0 to {classes - 1}")


def _logits(output: PyTree) -> Array:
    if not hasattr(output, "ndim") or output.ndim != 1:
        kind = f"shape {output.shape}" if hasattr(output, "shape") else type(output).__name__
        raise ValueError(
            f"the model's output for one image is {kind}, not a vector of logits: "
            "pass a callable target that reads a scalar from it, such as `lambda output: output['logits'][3]`"
        )
    return output


def _name(target: Callable) -> str:
    return getattr(target, "__name__", None) or getattr(
        getattr(target, "func", None), "__name__", repr(target)
    )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Top:
    """The k most likely classes, most likely first: a target for `jaxcam.explain` only. Made by `top`."""

    k: int


# Of a batch: what `jaxcam.explain` takes.
Targets = ArrayLike | Callable[[PyTree], Array] | Top | None


def top(k: int) -> Top:
    """The `k` most likely classes of each image, as the `targets` of `jaxcam.explain`; maps are `(B, k, H, W)`."""
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise ValueError(f"top(k) takes a whole number of at least 1; got {k!r}")
    return Top(k)


def probability(index: Index) -> Partial:
    """Softmax probability of class `index`, a scalar of logits `(classes,)`.

    HiResCAM's completeness holds for logits, not for this.
    """
    return Partial(_probability, jnp.asarray(index))


def _probability(index: Array, output: Array) -> Array:
    return score(jax.nn.softmax(_logits(output)), index)


def difference(index: Index, other: Index) -> Partial:
    """Logit of class `index` minus the logit of class `other`, of logits `(classes,)`: why one and not the other."""
    return Partial(_difference, jnp.asarray(index), jnp.asarray(other))


def _difference(index: Array, other: Array, output: Array) -> Array:
    return score(output, index) - score(output, other)


def segmentation(index: Index, mask: ArrayLike) -> Partial:
    """Sum of the logits of class `index` over the pixels of `mask` `(H, W)`; output `(H, W, classes)`."""
    return Partial(_segmentation, jnp.asarray(index), jnp.asarray(mask))


def _segmentation(index: Array, mask: Array, output: Array) -> Array:
    return jnp.sum(jnp.take(output, index, axis=-1) * mask.astype(output.dtype))


def similarity(embedding: ArrayLike) -> Partial:
    """Cosine similarity of the output vector with `embedding` `(D,)`, for models that embed rather than classify."""
    return Partial(_similarity, jnp.asarray(embedding))


def _similarity(embedding: Array, output: Array) -> Array:
    reference = embedding.astype(output.dtype)
    product = jnp.vdot(output, reference, precision=jax.lax.Precision.HIGHEST)
    return product / (jnp.linalg.norm(output) * jnp.linalg.norm(reference))
