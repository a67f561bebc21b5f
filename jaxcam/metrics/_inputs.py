"""What every metric is given, checked before anything is compiled."""

from collections.abc import Sequence
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from .._checks import check_images, shape_of_output, whole_numbers
from .._dtypes import ArrayLike
from .._request import targets_of
from ..probes._probe import Probe
from ..targets import _score
from ..targets._several import Ranked, Targets


def check(
    probe: Probe, images: ArrayLike, targets: Targets, maps: ArrayLike, *, unit: bool = True
) -> tuple[Array, Array | Partial | None, Array]:
    """Images `(B, *space, C)`, targets of each image or None, and maps `(B, *space)`, as arrays of the device.

    Targets are int32 `(B,)`, or a callable whose arrays have a leading axis B.

    Raises:
        ValueError: shapes or counts that disagree, a class out of range, maps that are not finite or (with `unit`)
            leave [0, 1].
        TypeError: images or maps that are not of floating point, targets that are neither class indices nor callables.
    """
    images = check_images(images)
    targets = check_targets(probe, images, targets)
    maps = check_maps(maps, unit=unit, rank=images.ndim - 2)
    if maps.shape[0] != images.shape[0]:
        raise ValueError(f"each image needs its map: got {images.shape[0]} images and {maps.shape[0]} maps")
    if maps.shape[1:] != images.shape[1:-1]:
        raise ValueError(
            f"maps must have the images' size {images.shape[1:-1]}; got {maps.shape[1:]}: jaxcam.explain returns them "
            "so, and jaxcam.display makes them so from raw maps"
        )
    return images, targets, maps


AXES = {1: "L", 2: "H, W", 3: "D, H, W"}  # of maps, by their rank


def check_maps(maps: ArrayLike, *, unit: bool = False, rank: int = 2) -> Float[Array, "B *space"]:
    """Maps `(B, *space)` of a rank, finite; with `unit`, in [0, 1]."""
    if rank not in AXES:
        raise ValueError(f"the rank of maps is 1 (signals), 2 (pictures) or 3 (volumes); got {rank!r}")
    if not isinstance(maps, jax.Array | np.ndarray):
        maps = np.asarray(maps)
    if maps.ndim != rank + 1:
        hint = ". Add a batch axis: maps[None]" if maps.ndim == rank else ""
        raise ValueError(f"maps must be a batch (B, {AXES[rank]}); got shape {tuple(maps.shape)}{hint}")
    if 0 in maps.shape:
        raise ValueError(f"maps must not be empty; got shape {tuple(maps.shape)}")
    if not jnp.issubdtype(maps.dtype, jnp.floating):
        raise TypeError(f"maps must be of floating point; got dtype {maps.dtype}")
    if not isinstance(maps, Tracer):
        inner = tuple(range(1, maps.ndim))
        numpy = jnp if isinstance(maps, jax.Array) else np
        low, high = (np.asarray(each(maps, axis=inner), np.float64) for each in (numpy.min, numpy.max))
        bad = np.flatnonzero(~np.isfinite(high - low))
        if bad.size:
            raise ValueError(
                f"map {bad[0]} has a NaN or infinite value ({bad.size} of {maps.shape[0]} maps do)"
            )
        bad = np.flatnonzero((low < -1e-6) | (high > 1 + 1e-6))
        if unit and bad.size:
            raise ValueError(
                f"maps must lie in [0, 1], as jaxcam.explain and jaxcam.display return them; map {bad[0]} spans "
                f"{low[bad[0]]:.3g} to {high[bad[0]]:.3g}"
            )
    return jnp.asarray(maps)


def check_count(name: str, value: object, *, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return value


def check_targets(probe: Probe, images: Array, targets: Targets) -> Array | Partial | None:
    output = shape_of_output(probe, images)
    if callable(targets) or (isinstance(targets, Sequence) and any(map(callable, targets))):
        return _of_each(targets, images.shape[0], output)
    if getattr(output, "ndim", 0) != 1:
        kind = f"shape {output.shape}" if hasattr(output, "shape") else type(output).__name__
        raise ValueError(
            f"the metrics judge classifiers by the probability of a class; the model's output for one image is {kind}, "
            "not a vector of logits: pass a callable target that reads a scalar from it"
        )
    if targets is None:
        return None
    if isinstance(targets, bool | str | float | Ranked):
        raise TypeError(
            f"targets must be class indices or callables, one or one per image, or None; got {targets!r}"
        )
    indices = whole_numbers(targets)
    if indices.shape not in ((), images.shape[:1]):
        raise ValueError(
            f"{images.shape[0]} images need one target or one each; got shape {tuple(indices.shape)}"
        )
    if not isinstance(indices, Tracer):
        _score.check_classes(indices, output.shape[0])
    return jnp.broadcast_to(jnp.asarray(indices, dtype=jnp.int32), images.shape[:1])


def _of_each(targets: PyTree, count: int, output: PyTree) -> Partial:
    """A callable, or one for each image, as one whose arrays have a leading axis B."""
    bound, axis = targets_of(targets, count, output, [])
    if axis is None:
        bound = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), bound)
    return cast(Partial, bound)


def of_image(targets: PyTree, index: Array) -> PyTree:
    """The target of one image."""
    return jax.tree.map(lambda leaf: leaf[index], targets)
