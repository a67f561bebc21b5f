"""Image classifiers as Flax NNX modules with torchvision's attribute names: a module's path is its torch key.

Every model takes a batch of images (B, H, W, 3) and gives logits (B, num_classes). It is built in eval mode:
batch norms use their running statistics, dropouts do nothing, and no random state is kept inside.
"""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from ._construct import construct
from ._preprocess import Preprocess
from ._recipes import recipe
from ._registry import TABLE, find

__all__ = ["Preprocess", "build", "default_layer", "names", "preprocess"]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    rngs: nnx.Rngs | None = None,
    dtype: DTypeLike = jnp.float32,
    param_dtype: DTypeLike = jnp.float32,
) -> nnx.Module:
    """A model with random parameters; `converters.load` builds one from a checkpoint.

    Under `nnx.eval_shape` nothing is computed, and the model's leaves are shapes.

    Args:
        name: one of `names()`; or timm's name of a network of these families (`vit_small_patch14_dinov2`).
        num_classes: length of the output, by default that of the published checkpoint (1000, CIFAR 10). Vision
            transformers and ConvNeXts may have 0: then the output is the features.
        image_size: sides in pixels of the images a vision transformer (vit_...) has positions for; by default 224.
        rngs: seeds the parameters, by default `nnx.Rngs(0)`.
        dtype: of the computation and the logits, whatever the image's is: float32, bfloat16, float16.
        param_dtype: of the stored parameters. Running statistics stay float32.

    Returns:
        A module that maps float (B, H, W, 3) to logits (B, num_classes). It raises ValueError for images of
        another rank or channel count or too small for its pools, and TypeError for integers.

    Raises:
        ValueError: no such architecture, one of timm's that needs a feature which is not built here (the message names
            it), fewer than one class, an image size that does not fit the architecture, or a
            dtype that is not floating point.
    """
    return construct(
        name,
        find(name),
        num_classes=num_classes,
        image_size=image_size,
        rngs=rngs,
        dtype=dtype,
        param_dtype=param_dtype,
    )


def names() -> tuple[str, ...]:
    """The names of all architectures, family by family."""
    return tuple(TABLE)


def default_layer(name: str) -> str:
    """The recommended layer for class activation maps: the last that has more than one position.

    Raises:
        ValueError: no such architecture.
    """
    return find(name).layer


def preprocess(name: str, *, weights: str | None = None) -> Preprocess:
    """The preprocessing of a published checkpoint: a function (picture) -> float32 (H, W, 3).

    Args:
        name: one of `names()`.
        weights: one of torchvision's entries ("DEFAULT", "IMAGENET1K_V2", ...), which differ in their preprocessing;
            by default "IMAGENET1K_V1" (of vit_h_14, which has none, "IMAGENET1K_SWAG_LINEAR_V1"; of regnet_y_128gf
            "IMAGENET1K_SWAG_E2E_V1"; of the ResNets for CIFAR "CIFAR10").

    Raises:
        ValueError: no such architecture, or no such entry of it.
    """
    return recipe(name, weights)
