"""Image classifiers as Flax NNX modules with torchvision's attribute names: a module's path is its torch key.

Every model takes a batch of images (B, H, W, 3) and gives logits (B, num_classes). It is built in eval mode:
batch norms use their running statistics, dropouts do nothing, and no random state is kept inside.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ._preprocess import Preprocess
from ._registry import TABLE, find

__all__ = ["build", "default_layer", "names", "preprocess"]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    rngs: nnx.Rngs | None = None,
    dtype: Any = jnp.float32,
    param_dtype: Any = jnp.float32,
) -> nnx.Module:
    """A model with random parameters; `converters.load` builds one from a checkpoint.

    Under `nnx.eval_shape` nothing is computed, and the model's leaves are shapes.

    Args:
        name: one of `names()`.
        num_classes: length of the output, by default that of the published checkpoint (1000, CIFAR 10).
        rngs: seeds the parameters, by default `nnx.Rngs(0)`.
        dtype: of the computation and the logits, whatever the image's is: float32, bfloat16, float16.
        param_dtype: of the stored parameters. Running statistics stay float32.

    Returns:
        A module that maps float (B, H, W, 3) to logits (B, num_classes). It raises ValueError for images of
        another rank or channel count or too small for its pools, and TypeError for integers.

    Raises:
        ValueError: no such architecture, fewer than one class, or a dtype that is not floating point.
    """
    architecture = find(name)
    num_classes = architecture.num_classes if num_classes is None else num_classes
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number of at least 1, got {num_classes!r}")
    for option, value in (("dtype", dtype), ("param_dtype", param_dtype)):
        if value is None or not jnp.issubdtype(value, jnp.floating):
            raise ValueError(
                f"{option} must be a floating point type such as jnp.float32 or jnp.bfloat16, got {value!r}"
            )
    return architecture.model(
        num_classes=num_classes,
        dtype=jnp.dtype(dtype),
        param_dtype=jnp.dtype(param_dtype),
        rngs=_Keys((nnx.Rngs(0) if rngs is None else rngs).params()),
        **architecture.options,
    )


def names() -> tuple[str, ...]:
    """The names of all architectures, family by family."""
    return tuple(TABLE)


def default_layer(name: str) -> str:
    """The layer whose class activation maps say most: the last that still has positions to tell apart.

    Raises:
        ValueError: no such architecture.
    """
    return find(name).layer


def preprocess(name: str) -> Preprocess:
    """How the architecture's published checkpoint wants pictures: a function (picture) -> float32 (H, W, 3).

    Raises:
        ValueError: no such architecture.
    """
    return find(name).preprocess


class _Keys:
    """One key for each parameter, from one of the caller's.

    An `nnx.Rngs` counts in a variable, which costs seconds for a deep model under `nnx.eval_shape`.
    """

    def __init__(self, key):
        self.key, self.count = key, 0

    def params(self):
        self.count += 1
        return jax.random.fold_in(self.key, self.count)
