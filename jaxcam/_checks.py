"""Checks of the arguments of `explain` and of the metrics, before anything is compiled."""

from collections.abc import Callable

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ._dtypes import ArrayLike
from .probes._mistakes import check_array
from .probes._probe import Image, Probe


def check_probe(probe: object) -> None:
    if not isinstance(probe, Probe):
        kind = probe.__name__ if isinstance(probe, type) else type(probe).__name__
        raise TypeError(
            f"a probe comes first, one layer of a model, and not the model itself; got {kind}: "
            "jaxcam.probe(model, 'layer4') makes one, of the layer of that name"
        )


Later = list[Callable[[], None]]


def check_images(images: ArrayLike, later: Later | None = None) -> Array:
    """Images `(B, *space, C)` of floating point, finite, as an array of the device: signals `(B, L, C)`, pictures
    `(B, H, W, C)` or volumes `(B, D, H, W, C)`.

    Args:
        images: as a caller gives them.
        later: takes the check of values that are on a device, to be made once the device has its next work: the host
            waits for it. By default it is made at once.
    """
    check_array(images)
    if not isinstance(images, jax.Array | np.ndarray):
        images = np.asarray(images)
    if images.ndim not in (3, 4, 5):
        hint = ". Add a batch axis: images[None]" if images.ndim == 2 else ""
        raise ValueError(
            "images must be a batch (B, H, W, C), or (B, L, C) of signals, or (B, D, H, W, C) of volumes; got shape "
            f"{tuple(images.shape)}{hint}"
        )
    if images.shape[0] == 0:
        raise ValueError("there is no image to explain: the batch is empty")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"images must be of floating point, preprocessed for the model (see jaxcam.models.preprocess); "
            f"got dtype {images.dtype}"
        )
    if isinstance(images, jax.core.Tracer):
        return images  # its values are not known yet
    inner = tuple(range(1, images.ndim))
    on_device = isinstance(images, jax.Array)
    finite = _finite(images) if on_device else np.asarray(np.isfinite(images).all(axis=inner))
    if later is None or not isinstance(finite, jax.Array):
        _refuse(finite)
    else:
        later.append(lambda: _refuse(finite))
    return jnp.asarray(images)


@jax.jit
def _finite(images: Array) -> Array:
    return jnp.isfinite(images).all(axis=tuple(range(1, images.ndim)))


def _refuse(finite: Array | np.ndarray) -> None:
    bad = np.flatnonzero(~np.asarray(finite))
    if bad.size:
        raise ValueError(
            f"image {bad[0]} has a NaN or infinite pixel ({bad.size} of {len(finite)} images do)"
        )


def shape_of_output(probe: Probe, images: Array | jax.ShapeDtypeStruct) -> PyTree:
    """Shape of the model's output for one image; raises where the model cannot take such an image."""
    try:
        return _forward.eval_shape(probe, jax.ShapeDtypeStruct(images.shape[1:], images.dtype))
    except (TypeError, ValueError) as error:
        shape = tuple(images.shape)
        raise ValueError(f"cannot look at images of shape {shape[1:]}{_taken_for(shape)}: {error}") from error


def _taken_for(shape: tuple[int, ...]) -> str:
    """What a batch of this shape was taken for, where it may have been meant otherwise."""
    if len(shape) == 3:
        return (
            f" (images of shape {shape} are a batch of {shape[0]} signals (L, C); if they are one picture (H, W, C), "
            "add a batch axis: images[None]; if they are grey pictures (B, H, W), the channel: images[..., None])"
        )
    if len(shape) == 5:
        return f" (images of shape {shape} are a batch of {shape[0]} volumes (D, H, W, C))"
    return ""


@jax.jit
def _forward(probe: Probe, image: Image) -> PyTree:
    return probe(image)[0]


def whole_numbers(indices: ArrayLike) -> Array | np.ndarray:
    """Class indices as an array, of the device if they are there already."""
    found = indices if isinstance(indices, jax.Array) else np.asarray(indices)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(f"class indices must be integers; got dtype {found.dtype}")
    return found


def check_table(name: str, table: Array | np.ndarray, shape: str) -> None:
    """An array of two axes, of floating point, and finite where its values are known."""
    if not hasattr(table, "dtype"):
        raise TypeError(f"{name} is an array {shape}; got {type(table).__name__}")
    if table.ndim != 2:
        raise ValueError(f"{name} is an array {shape}; got shape {tuple(table.shape)}")
    if not jnp.issubdtype(table.dtype, jnp.floating):
        raise TypeError(f"{name} must be of floating point; got dtype {table.dtype}")
    if not isinstance(table, jax.core.Tracer) and not (finite := np.asarray(jnp.isfinite(table))).all():
        raise ValueError(
            f"{name} has a NaN or infinite value ({np.sum(~finite)} of {finite.size} values are)"
        )


def check_weights(weights: Array | np.ndarray, of: str, count: int) -> None:
    """One weight for each sample or point, finite and at least 0 where their values are known."""
    shape = np.shape(weights)
    if shape != (count,):
        raise ValueError(f"weights must be one per {of}, ({count},); got shape {shape}")
    if isinstance(weights, jax.core.Tracer):
        return
    wrong = ~(np.asarray(weights, np.float64) >= 0) | np.isinf(np.asarray(weights, np.float64))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"weights must be finite and at least 0; weight {first} is {np.asarray(weights)[first]}"
        )
