"""What `explain` and the metrics are given, checked before anything is compiled."""

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._probe import Image, Probe

Later = list[Callable[[], None]]


def check_images(images: Any, later: Later | None = None) -> Array:
    """Images `(B, H, W, C)` of floating point, finite, as an array of the device.

    Args:
        images: as a caller gives them.
        later: takes the check of values that are on a device, to be made once the device has its next work: the host
            waits for it. By default it is made at once.
    """
    if not hasattr(images, "dtype"):
        images = np.asarray(images)
    if images.ndim != 4:
        hint = ". Add a batch axis: images[None]" if images.ndim == 3 else ""
        raise ValueError(f"images must be a batch (B, H, W, C); got shape {tuple(images.shape)}{hint}")
    if images.shape[0] == 0:
        raise ValueError("there is no image to explain: the batch is empty")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"images must be of floating point, preprocessed for the model (see jaxcam.models.preprocess); "
            f"got dtype {images.dtype}"
        )
    if isinstance(images, jax.core.Tracer):
        return images  # its values are not known yet
    finite = _finite(images) if isinstance(images, jax.Array) else np.isfinite(images).all(axis=(1, 2, 3))
    if later is None or not isinstance(finite, jax.Array):
        _refuse(finite)
    else:
        later.append(lambda: _refuse(finite))
    return jnp.asarray(images)


@jax.jit
def _finite(images: Array) -> Array:
    return jnp.isfinite(images).all(axis=(1, 2, 3))


def _refuse(finite: Any) -> None:
    bad = np.flatnonzero(~np.asarray(finite))
    if bad.size:
        raise ValueError(
            f"image {bad[0]} has a NaN or infinite pixel ({bad.size} of {len(finite)} images do)"
        )


def shape_of_output(probe: Probe, images: Array) -> Any:
    """Shape of the model's output for one image; raises where the model cannot take such an image."""
    try:
        return _forward.eval_shape(probe, jax.ShapeDtypeStruct(images.shape[1:], images.dtype))
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot look at images of shape {images.shape[1:]}: {error}") from error


@jax.jit
def _forward(probe: Probe, image: Image) -> Any:
    return probe(image)[0]


def whole_numbers(indices: Any) -> Any:
    """Class indices as an array, of the device if they are there already."""
    found = indices if isinstance(indices, jax.Array) else np.asarray(indices)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(f"class indices must be integers; got dtype {found.dtype}")
    return found
