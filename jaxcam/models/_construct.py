"""Builds the model of one row of the table of architectures."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from ._architecture import Architecture
from ._options import Keys


def construct(
    name: str,
    architecture: Architecture,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    rngs: nnx.Rngs | None = None,
    dtype: DTypeLike = jnp.float32,
    param_dtype: DTypeLike = jnp.float32,
) -> nnx.Module:
    """What `jaxcam.models.build` builds; `name` is for its errors."""
    num_classes = architecture.num_classes if num_classes is None else num_classes
    least = 0 if getattr(architecture.model, "headless", False) else 1
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < least:
        raise ValueError(f"num_classes must be a whole number of at least {least}, got {num_classes!r}")
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
