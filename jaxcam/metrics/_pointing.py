"""Does the map point at the object: the Pointing Game, and the share of the map's energy inside the boxes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from ._boxes import Boxes, pack, rank_of
from ._inputs import check_maps
from ._registry import TOLERANCE


def pointing_game(maps: ArrayLike, boxes: Boxes, *, tolerance: float | int = TOLERANCE) -> Float[Array, "B"]:
    """Pointing Game: `[d = 0 or d < tolerance]`, d the distance from the map's maximum to the nearest object pixel.

    Args:
        maps: `(B, H, W)`; the first maximum, row by row, is the point. Signals have maps `(B, L)`, volumes
            `(B, D, H, W)`: which of them they are is read from the boxes.
        boxes: for each image a list of boxes x0, y0, x1, y1 in pixels of the map (ends exclusive), or one box: x0, x1
            in a signal, x0, y0, z0, x1, y1, z1 in a volume. Its pixels are those that it touches. (`rescale_boxes`
            moves boxes from the picture to the map.)
        tolerance: Euclidean, between centres of pixels, in pixels of the map.

    Returns:
        `(B,)`: 1 for a hit and 0 for a miss. A constant map points nowhere: a miss. The mean over classes of
        each class's accuracy (`mean_over_classes`) is the published figure.

    Raises:
        ValueError: maps and boxes of different counts, boxes outside the map, without area or missing, maps that are
            not finite, a negative tolerance.

    Source: Zhang et al. 2016, "Excitation Backprop", arXiv 1608.00507 [paper]; the strict distance is TorchRay's [third
    party]; a box that is hit at a tolerance of 0, and constant maps, are ours [ours].
    """
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be a distance in pixels, at least 0; got {tolerance}")
    maps = check_maps(maps, rank=rank_of(boxes))
    return _pointing(maps, pack(boxes, maps.shape), tolerance)


@jax.jit
def _pointing(maps, boxes, tolerance):
    def one(shown, rows):
        first, last = jnp.floor(rows[:, : shown.ndim]), jnp.ceil(rows[:, shown.ndim :]) - 1
        place = jnp.unravel_index(jnp.argmax(shown), shown.shape)
        point = jnp.stack(place[::-1]).astype(rows.dtype)[None]  # x first, as in a box
        apart = jnp.maximum(jnp.maximum(first - point, point - last), 0)
        squared = jnp.nanmin(jnp.sum(apart**2, axis=1))
        hit = (squared == 0) | (squared < jnp.square(tolerance).astype(rows.dtype))
        return (hit & (jnp.max(shown) > jnp.min(shown))).astype(shown.dtype)

    return jax.vmap(one)(maps, boxes)


def energy_pointing_game(maps: ArrayLike, boxes: Boxes) -> Float[Array, "B"]:
    """Energy-based pointing game: `Σ_inside L / Σ L`, inside the union of the boxes.

    Args:
        maps: `(B, H, W)`, at least 0; `(B, L)` of signals and `(B, D, H, W)` of volumes.
        boxes: as for `pointing_game`. A pixel is inside if a box touches it.

    Returns:
        `(B,)`, shares in [0, 1]; 0 for a map of zeros.

    Raises:
        ValueError: maps and boxes of different counts, boxes outside the map, without area or missing, maps that are
            not finite or negative.

    Source: Wang et al. 2020, "Score-CAM", arXiv 1910.01279 [paper]; 0 for a map of zeros [ours].
    """
    maps = check_maps(maps, rank=rank_of(boxes))
    if not isinstance(maps, Tracer) and jnp.min(maps) < 0:
        raise ValueError(f"energy needs maps of at least 0; these reach {jnp.min(maps):.3g}")
    return _energy(maps, pack(boxes, maps.shape))


@jax.jit
def _energy(maps, boxes):
    def one(shown, rows):
        inside = jnp.ones((len(rows), *shown.shape), bool)
        for axis, side in enumerate(shown.shape):
            start = shown.ndim - 1 - axis  # x is a box's first number, and a map's last axis
            touched = _touched(rows[:, start], rows[:, shown.ndim + start], side)
            others = [1 + each for each in range(shown.ndim) if each != axis]
            inside &= jnp.expand_dims(touched, others)
        inside = jnp.any(inside, axis=0)
        total = jnp.sum(shown)
        part = jnp.sum(jnp.where(inside, shown, 0))
        return jnp.where(total > 0, part / jnp.where(total > 0, total, 1), 0)

    return jax.vmap(one)(maps, boxes)


def _touched(start, end, size) -> Array:
    """Which pixels 0 .. size - 1 overlap each interval; none for NaN."""
    pixel = jnp.arange(size, dtype=start.dtype)[None]
    return (pixel + 1 > start[:, None]) & (pixel < end[:, None])


def mean_over_classes(values: ArrayLike, classes: ArrayLike) -> float:
    """The mean over classes of the mean of each class's images, so that a frequent class counts once.

    Args:
        values: `(B,)`, any metric of each image.
        classes: `(B,)`, each image's class.

    Raises:
        ValueError: shapes that differ, or no image.

    Source: TorchRay's pointing game [third party].
    """
    values, classes = np.asarray(values, np.float64), np.asarray(classes)
    if values.ndim != 1 or values.shape != classes.shape or not values.size:
        raise ValueError(
            f"one class for each value, (B,) and (B,); got shapes {classes.shape} and {values.shape}"
        )
    return float(np.mean([values[classes == each].mean() for each in np.unique(classes)]))
