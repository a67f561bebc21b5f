"""From a raw map to the displayed one: ReLU, min-max, resize, overlay."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._errors import unknown

Maps = Float[Array | np.ndarray, "*n h w"]


def display(raw: Maps, *, size: tuple[int, int] | None = None) -> Float[Array, "*n H W"]:
    """The displayed map: `normalise(resize(relu(raw), size))`, in [0, 1].

    A map that holds a NaN or an infinity is NaN everywhere, so that it never looks like an explanation.

    Args:
        raw: raw maps `(..., h, w)`.
        size: `(H, W)` of the result, in pixels; the maps' own size by default.

    Source: equal to pytorch-grad-cam's, which normalises before and after it resizes [third party].
    """
    shown = jnp.where(raw == -jnp.inf, jnp.nan, jax.nn.relu(raw))
    return normalise(shown if size is None else resize(shown, size))


def normalise(maps: Maps) -> Float[Array, "*n h w"]:
    """`N(m) = (m - min m) / (max m - min m)` of each map; zeros where a map is constant.

    Maps `(..., h, w)` -> `(..., h, w)`, in [0, 1].
    A map counts as constant where its range is within rounding (8 units in the last place) of its largest value. One
    that holds a NaN or an infinity is NaN everywhere.
    """
    low = jnp.min(maps, axis=(-2, -1), keepdims=True)
    high = jnp.max(maps, axis=(-2, -1), keepdims=True)
    noise = 8 * jnp.finfo(maps.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    varies = (high - low > jnp.maximum(noise, jnp.finfo(maps.dtype).tiny)) & jnp.isfinite(high - low)
    scaled = (maps - jnp.where(varies, low, 0)) / jnp.where(varies, high - low, 1)
    return jnp.where(finite, jnp.where(varies, scaled, 0), jnp.nan)


def resize(maps: Maps, size: tuple[int, int]) -> Float[Array, "*n H W"]:
    """Bilinear resize with half-pixel centres and no antialiasing, as torch's `interpolate` and OpenCV do."""
    return jax.image.resize(maps, (*maps.shape[:-2], *size), method="bilinear", antialias=False)


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
