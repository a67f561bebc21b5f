"""What is explained: a scalar score of the model's output.

A target is one of

- an integer c: the raw logit of class c,
- None: the raw logit of the most likely class (of the lowest index among equals),
- any callable `output -> scalar`, where `output` is the model's output for one image.
"""

from collections.abc import Callable

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._dtypes import ArrayLike

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
    logits = logits_of(output)
    if target is None:
        return logits[jnp.argmax(logits)]
    index = class_index(target, logits.shape[0])
    inside = (index >= 0) & (index < logits.shape[0])
    # times, so that the gradient is NaN too
    return logits[jnp.clip(index, 0, logits.shape[0] - 1)] * jnp.where(inside, 1, jnp.nan).astype(
        logits.dtype
    )


def settle(output: PyTree, target: Target) -> Target:
    """The target, with None made the class that is most likely in `output`."""
    return jnp.argmax(logits_of(output)) if target is None else target


def class_index(target: Index, classes: int) -> Array:
    """`target` checked to be one class index, in range wherever its value is known."""
    if not isinstance(target, bool | str | float | jax.core.Tracer):
        check_classes(target, classes)
    return whole_number(target)


def whole_number(target: Index) -> Array:
    """`target` as an array, checked to be one class index of some model."""
    if isinstance(target, bool | str | float):
        raise TypeError(f"a target must be a class index, None or a callable; got {target!r}")
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


def logits_of(output: PyTree) -> Array:
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
