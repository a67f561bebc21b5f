"""From a raw map to the displayed one: ReLU, min-max, resize, overlay."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._errors import unknown

Maps = Float[Array | np.ndarray, "..."]


def display(
    raw: Maps, *, size: tuple[int, ...] | None = None, rank: int | None = None
) -> Float[Array, "..."]:
    """The displayed map: `normalise(resize(relu(raw), size))`, in [0, 1].

    A map that holds a NaN or an infinity is NaN everywhere, so that it never looks like an explanation.

    Args:
        raw: raw maps `(..., *space)`.
        size: of the result: `(H, W)` in pixels, `(L,)` for signals, `(D, H, W)` for volumes; the maps' own size by
            default.
        rank: the number of a map's spatial axes, which are the last ones: as many as `size` has entries, or 2. It is
            never read from `raw`, in which a batch of maps looks like a volume.

    Raises:
        ValueError: maps of fewer axes than `rank`, or a size of another rank.

    Source: equal to pytorch-grad-cam's, which normalises before and after it resizes [third party].
    """
    shown = jnp.where(raw == -jnp.inf, jnp.nan, jax.nn.relu(raw))
    if size is not None and rank not in (None, len(size)):
        raise ValueError(f"maps of rank {rank} have a size of {rank} entries; got {size}")
    if size is None:
        return normalise(shown, rank=2 if rank is None else rank)
    return normalise(resize(shown, size), rank=len(size))


def normalise(maps: Maps, *, rank: int = 2) -> Float[Array, "..."]:
    """`N(m) = (m - min m) / (max m - min m)` of each map; zeros where a map is constant.

    Maps `(..., *space)` -> `(..., *space)`, in [0, 1]; space is the last `rank` axes: 1 for signals, 2 for pictures, 3
    for volumes.
    A map counts as constant where its range is within rounding (8 units in the last place) of its largest value. One
    that holds a NaN or an infinity is NaN everywhere.
    """
    space = _space(maps, rank)
    low = jnp.min(maps, axis=space, keepdims=True)
    high = jnp.max(maps, axis=space, keepdims=True)
    noise = 8 * jnp.finfo(maps.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    varies = (high - low > jnp.maximum(noise, jnp.finfo(maps.dtype).tiny)) & jnp.isfinite(high - low)
    scaled = (maps - jnp.where(varies, low, 0)) / jnp.where(varies, high - low, 1)
    return jnp.where(finite, jnp.where(varies, scaled, 0), jnp.nan)


def resize(maps: Maps, size: tuple[int, ...]) -> Float[Array, "..."]:
    """Linear resize along each spatial axis with half-pixel centres and no antialiasing, as torch's `interpolate` and
    OpenCV do (bilinear for pictures).

    Maps `(..., *space)` -> `(..., *size)`; space is as many of the last axes as `size` has entries.
    """
    others = maps.shape[: _space(maps, len(size))[0]]
    return jax.image.resize(maps, (*others, *size), method="linear", antialias=False)


def _space(maps: Maps, rank: int) -> tuple[int, ...]:
    """The last `rank` axes, counted from the end."""
    if not 1 <= rank <= maps.ndim:
        raise ValueError(
            f"a map of rank {rank} has {rank} spatial axes; got shape {tuple(maps.shape)}. Signals have rank 1 (a size "
            "of one entry), pictures 2, volumes 3"
        )
    return tuple(range(-rank, 0))


def overlay(picture, shown, *, alpha: float | int = 0.5, colormap: str = "turbo") -> np.ndarray:
    """A picture with a map laid over it, on the host.

    Args:
        picture: `(H, W, 3)` RGB, uint8 or float in [0, 1].
        shown: `(H, W)` in [0, 1], as `display` returns it.
        alpha: share of the colours in the mix, in [0, 1].
        colormap: any colour map of matplotlib.

    Returns:
        uint8 RGB `(H, W, 3)`.

    Raises:
        ValueError: shapes that differ, values outside [0, 1], an unknown colour map.
    """
    from matplotlib import colormaps

    picture, shown = np.asarray(picture), np.asarray(shown, dtype=np.float32)
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.shape[:2] != shown.shape:
        raise ValueError(
            f"overlay takes a picture (H, W, 3) and a map (H, W); got {picture.shape} and {shown.shape}"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be a share between 0 and 1; got {alpha}")
    if colormap not in colormaps:
        raise ValueError(unknown("colour map", colormap, list(colormaps)))
    base = picture.astype(np.float32) / (255 if picture.dtype == np.uint8 else 1)
    for name, values in (("picture", base), ("map", shown)):
        if not (values.min() >= 0 and values.max() <= 1.0001):
            raise ValueError(
                f"the {name}'s values must lie in [0, 1]; they span {values.min()} to {values.max()}"
            )
    colours = colormaps[colormap](shown)[..., :3].astype(np.float32)
    return np.round(255 * ((1 - alpha) * base + alpha * colours)).clip(0, 255).astype(np.uint8)
