"""Image classifiers as Flax NNX modules with torchvision's attribute names: a module's path is its torch key.

Every model takes a batch of images (B, H, W, 3) and gives logits (B, num_classes). It is built in eval mode:
batch norms use their running statistics, dropouts do nothing, and no random state is kept inside.
"""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from ._options import Keys
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
        name: one of `names()`.
        num_classes: length of the output, by default that of the published checkpoint (1000, CIFAR 10).
        image_size: sides in pixels of the images a vision transformer (vit_...) has positions for; by default 224.
        rngs: seeds the parameters, by default `nnx.Rngs(0)`.
        dtype: of the computation and the logits, whatever the image's is: float32, bfloat16, float16.
        param_dtype: of the stored parameters. Running statistics stay float32.

    Returns:
        A module that maps float (B, H, W, 3) to logits (B, num_classes). It raises ValueError for images of
        another rank or channel count or too small for its pools, and TypeError for integers.

    Raises:
        ValueError: no such architecture, fewer than one class, an image size that does not fit the architecture, or a
            dtype that is not floating point.
    """
    architecture = find(name)
    num_classes = architecture.num_classes if num_classes is None else num_classes
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number of at least 1, got {num_classes!r}")
    options = dict(architecture.options)
    if image_size is not None:
        if (patch := options.get("patch")) is None:
            raise ValueError(f"{name} takes images of any size: leave out image_size={image_size}")
        if image_size < patch or image_size % patch:
            raise ValueError(
                f"{name} cuts images into patches of {patch}x{patch}, got image_size={image_size}"
            )
        options["image_size"] = image_size
    for option, value in (("dtype", dtype), ("param_dtype", param_dtype)):
        if value is None or not jnp.issubdtype(value, jnp.floating):
            raise ValueError(
                f"{option} must be a floating point type such as jnp.float32 or jnp.bfloat16, got {value!r}"
            )
    model = architecture.model(
        num_classes=num_classes,
        dtype=jnp.dtype(dtype),
        param_dtype=jnp.dtype(param_dtype),
        rngs=Keys((nnx.Rngs(0) if rngs is None else rngs).params()),
        **options,
    )
    # the layer that errors of a probe suggest
    model.default_layer = architecture.layer  # pyright: ignore[reportAttributeAccessIssue]
    return model


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
