"""What Cluster-CAM makes of scored clusters: the base, the scissors, and the ways to merge them into one map."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _display
from .._fuse import Fuse


class Groups(NamedTuple):
    """Channels in clusters.

    Attributes:
        masks: `N(centre)` of each cluster, 0 where it is empty or constant.
        labels: the cluster of each channel.
        used: which channels took part, the others being constant.
    """

    masks: Float[Array, "m h w"]
    labels: Int[Array, " K"]
    used: Bool[Array, " K"]


def combine(
    A: Float[Array, "K h w"],
    groups: Groups,
    scores: Float[Array, " m"],
    valid: Bool[Array, " m"],
    merge: str,
    score: str,
    *,
    scissors: float | int | Array,
    knee: float | int | Array | None,
    temperature: float | int | Array,
    fuse: Fuse,
) -> Float[Array, "h w"]:
    """The map that a merge makes of clusters and their scores."""
    recipe = MERGES[merge]
    if score in SCALED:
        scores = SCALED[score](scores, valid)
    order = rank(scores, valid)
    share = jnp.where(valid, recipe.shares(scores, valid, order, scissors, temperature), 0)
    if recipe.members:
        share = jnp.where(groups.used, share[groups.labels], 0)
    parts = A if recipe.members else groups.masks
    fused = fuse(jnp.moveaxis(share[:, None, None] * parts, 0, -1))
    if not recipe.cut:
        return fused
    cut = jnp.where(order.valid > 1, scissors, 0) * groups.masks[order.scissors]
    positive = jnp.where(jnp.any(fused > 0), jax.nn.relu(fused), fused)  # signed channels may add up to none
    base = _display.normalise(positive) * (1 - cut)
    return base if knee is None else base / (base + knee)


class Order(NamedTuple):
    """Index of the base and of the scissors, and how many clusters are valid. Scissors mean nothing if `valid` < 2."""

    base: Int[Array, ""]
    scissors: Int[Array, ""]
    valid: Int[Array, ""]


def rank(scores: Float[Array, " m"], valid: Bool[Array, " m"]) -> Order:
    """Highest and lowest score among the valid clusters, the first of equals; never the same cluster for both."""
    base = jnp.argmax(jnp.where(valid, scores, -jnp.inf))
    others = valid & (jnp.arange(scores.shape[0]) != base)
    return Order(base, jnp.argmin(jnp.where(others, scores, jnp.inf)), jnp.sum(valid))


def _minmax(scores: Array, valid: Array) -> Array:
    """Valid scores scaled to [0, 1]; all 1 where they are equal."""
    low = jnp.min(jnp.where(valid, scores, jnp.inf))
    high = jnp.max(jnp.where(valid, scores, -jnp.inf))
    apart = high > low
    scaled = (scores - jnp.where(apart, low, 0)) / jnp.where(apart, high - low, 1)
    return jnp.where(valid & apart, scaled, valid.astype(scores.dtype))


def _contrast(scores: Array, valid: Array) -> Array:
    """The same, minus half the mean of the valid ones."""
    scaled = _minmax(scores, valid)
    return jnp.where(
        valid, scaled - 0.5 * jnp.sum(scaled) / jnp.maximum(jnp.sum(valid.astype(scores.dtype)), 1), 0
    )


class Merge(NamedTuple):
    """How clusters become a map: the share of each, of masks or of member channels, and whether scissors cut it."""

    shares: Callable[..., Array]
    members: bool = False
    cut: bool = False


def _weighted(scores, valid, order, scissors, temperature):
    return scores


def _hard(scores, valid, order, scissors, temperature):
    base, cut = _ends(scores, order)
    return base - scissors * cut


def _score_weighted(scores, valid, order, scissors, temperature):
    base, cut = _ends(scores, order)
    v = scores[order.base]
    return v * base - scissors * (1 - v) * cut


def _soft(scores, valid, order, scissors, temperature):
    alpha = jax.nn.softmax(scores / temperature, where=valid)
    return jnp.where(alpha * order.valid.astype(alpha.dtype) >= 1, alpha, -scissors * alpha)


def _ends(scores: Array, order: Order) -> tuple[Array, Array]:
    """1 at the base, and 1 at the scissors if there are any."""
    places = jnp.arange(scores.shape[0])
    base = (places == order.base).astype(scores.dtype)
    return base, ((places == order.scissors) & (order.valid > 1)).astype(scores.dtype)


MERGES = {
    "weighted": Merge(_weighted),
    "weighted-cut": Merge(_weighted, cut=True),
    "members": Merge(_weighted, members=True),
    "members-cut": Merge(_weighted, members=True, cut=True),
    "hard": Merge(_hard),
    "score-weighted": Merge(_score_weighted),
    "soft": Merge(_soft),
}
SCORES = {"softmax": "softmax", "logit": "logit", "minmax": "logit", "contrast": "logit"}  # what is read
SCALED = {"minmax": _minmax, "contrast": _contrast}  # what is made of it, over the clusters
