"""Several classes of each image, which its output decides: targets for `jaxcam.explain` only."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._dtypes import ArrayLike, widen
from .._errors import choose

_SCALES: dict[str, Callable[[Array], Array]] = {
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
    "logit": lambda logits: logits,
}


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Top:
    """The k most likely classes, most likely first. Made by `top`."""

    k: int


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Above:
    """Those of the k most likely classes that are above a threshold, most likely first. Made by `above`."""

    k: int
    threshold: float
    scale: str

    def present(self, logits: Float[Array, "*n classes"]) -> Bool[Array, "*n k"]:
        """Which of the k most likely classes are above the threshold."""
        best = jax.lax.top_k(_SCALES[self.scale](widen(logits)), self.k)[0]
        return best > self.threshold


Ranked = Top | Above  # several classes of an image, in the order of its logits
# Of a batch: what `jaxcam.explain` takes.
Targets = ArrayLike | Callable[[PyTree], Array] | Ranked | None


def top(k: int) -> Top:
    """The `k` most likely classes of each image, as the `targets` of `jaxcam.explain`; maps are `(B, k, H, W)`."""
    _check_count("top(k)", k)
    return Top(k)


def above(threshold: float | int, at_most: int = 5, *, scale: str = "softmax") -> Above:
    """The classes of each image that are above `threshold`, as the `targets` of `jaxcam.explain`.

    Maps are `(B, at_most, H, W)`, the most likely class first, as of `jaxcam.top(at_most)`: a compiled program needs a
    fixed number. Where an image has fewer such classes, the maps that are left over are NaN everywhere, which no map of
    a class is (`jax.numpy.isnan(maps).all((-2, -1))` finds them). Classes beyond `at_most` have no map.

    Args:
        threshold: what the classes lie above, on the scale of `scale`.
        at_most: number of maps of each image.
        scale: "softmax", the probability of a class among all; "sigmoid", the probability of each class by itself, of a
            network that finds several things in a picture; or "logit", the raw output.

    Raises:
        ValueError: a number of maps below 1, an unknown scale, a threshold that is not finite, or not a probability
            where it is compared with one.

    Source: [ours].
    """
    _check_count("above(threshold, at_most)", at_most)
    choose("scale", scale, tuple(_SCALES))
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise ValueError(f"a threshold is a finite number; got {threshold!r}")
    if scale != "logit" and not 0 <= threshold < 1:
        raise ValueError(
            f"a threshold of the {scale} is a probability, from 0 to less than 1; got {threshold!r}. "
            'scale="logit" compares raw outputs'
        )
    return Above(at_most, float(threshold), scale)


def ranked(targets: Ranked, logits: Float[Array, "*n classes"]) -> Int[Array, "*n k"]:
    """The most likely classes, of equals the first first."""
    return jax.lax.top_k(logits, targets.k)[1]


def kept(
    targets: Ranked, logits: Float[Array, " classes"], maps: Float[Array, "k *space"]
) -> Float[Array, "k *space"]:
    """The maps, NaN where their class is not a target of the image."""
    if not isinstance(targets, Above):
        return maps
    present = jnp.expand_dims(targets.present(logits), tuple(range(1, maps.ndim)))
    return jnp.where(present, maps, jnp.nan)


def _check_count(what: str, k: int) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise ValueError(f"{what} takes a whole number of at least 1; got {k!r}")
