"""Cluster-CAM: clusters of channels are the masks, so a handful of forward passes is enough."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _display
from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._kmeans import clustered
from .._masks import reader, score_masks, varies
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target

CLUSTERS = 28


@of_probe
def clustercam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    clusters: int | None = None,
    normalise: str = "minmax",
    merge: str = "members-cut",
    score: str = "contrast",
    knee: float | int | Array | None = 0.25,
    key: Array | None = None,
    restarts: int = 4,
    iterations: int = 30,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Cluster-CAM: `M_j = N(centre_j)` of k-means over channels, `s_j = s_c(x ⊙ N(up(centre_j)))`, and a merge of them
    into the map, such as `M = Σ_j s_j M_j`. No gradient; m clusters cost m + 1 forward passes, whatever K.

    `merge` is one of these, with base and scissors the clusters of the highest and lowest score (of equals, the first):

    - "members-cut": `W = Σ_j s_j Σ_(k in j) A_k`, the clusters' own channels instead of masks, cut by the scissors,
      `B = N(relu(W)) ⊙ (1 - M_scissors)`, then brightened without a change of order, `B / (B + κ)`. Where W is
      nowhere above 0, as of signed channels, `B` has `N(W)` instead.
    - "weighted": `Σ_j s_j M_j`.
    - "hard": `M_base - M_scissors`: with `normalise="raw"`, `score="softmax"` and 10 clusters a reading of the paper,
      which leaves the merge open.

    Channels and masks that are constant are left out. Where one cluster is left there are no scissors; where none is,
    the map is 0. A callable target's value is the score.

    When: Score-CAM at a dozen forward passes instead of K.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        clusters: from 1 to the layer's number of channels; by default 28, or that number where it is smaller. Fewer
            are found where fewer channels are distinct. `jaxcam.elbow` suggests a number for a layer.
        normalise: what k-means sees of each channel: "minmax", scaled to [0, 1]; or "raw", as it is.
        merge: "members-cut", "weighted" or "hard".
        score: s, "softmax": the target's probability; or "contrast": its logits scaled to [0, 1] over the clusters,
            minus half their mean, so that clusters of low score speak against.
        knee: κ of "members-cut", above 0: the smaller, the brighter. None: the map is B.
        key: of `jax.random`, for k-means; `jax.random.key(0)` by default.
        restarts: of k-means.
        iterations: of k-means, at most.
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, m)` of clusters, or `(*space, K)` of members -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`; in [0, 1] where it was cut, otherwise in units of the score (of members: times the
        activation).

    Raises:
        ValueError: clusters, knee, restarts or chunk out of range, an unknown normalise, merge or score.

    Source: Feng et al. 2023, "Cluster-CAM", arXiv 2302.01642 [paper] for clusters, base and scissors; base as the
    highest score and scissors as the lowest [third party]; "hard" [ours, after third party]; everything else, defaults
    among it, [ours].
    """
    scale = choose("normalise", normalise, NORMALISE)
    choose("merge", merge, MERGES)
    reads = choose("score", score, SCORES)
    if knee is not None and not isinstance(knee, jax.Array) and not 0 < knee < math.inf:
        raise ValueError(f"knee must be a number above 0, or None; got {knee!r}")
    # Cluster the channels.
    output, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    groups = group(
        scale(A), _count(clusters, A.shape[0]), varies(A), key=key, restarts=restarts, iterations=iterations
    )
    # Score the image behind the mask of each cluster.
    scores, valid = score_masks(probe, image, groups.masks, reader(output, target, reads), chunk=chunk)
    # Merge the clusters into one map.
    found = combine(A, groups, scores, valid, merge, score, knee=knee, fuse=fuse)
    return finite_only(found, A, scores)


class Groups(NamedTuple):
    """Channels in clusters.

    Attributes:
        masks: `N(centre)` of each cluster, 0 where it is empty or constant.
        labels: the cluster of each channel.
        used: which channels took part, the others being constant.
    """

    masks: Float[Array, "m *space"]
    labels: Int[Array, " K"]
    used: Bool[Array, " K"]


def group(
    channels: Float[Array, "K *space"],
    clusters: int,
    used: Bool[Array, " K"],
    *,
    key: Array | None,
    restarts: int,
    iterations: int,
) -> Groups:
    """k-means of channels; those that are not `used` take no part."""
    key = jax.random.key(0) if key is None else key
    weights = used.astype(channels.dtype)
    found = clustered(
        channels.reshape(channels.shape[0], -1),
        clusters,
        key,
        restarts=restarts,
        iterations=iterations,
        weights=weights,
    )
    filled = jnp.zeros(clusters, channels.dtype).at[found.labels].add(weights) > 0
    centers = jnp.where(filled[:, None], found.centers, 0).reshape(clusters, *channels.shape[1:])
    return Groups(_each_normalised(centers), found.labels, used)


def _count(clusters: int | None, channels: int) -> int:
    if clusters is None:
        return min(CLUSTERS, channels)
    if isinstance(clusters, bool) or not isinstance(clusters, int) or not 1 <= clusters <= channels:
        raise ValueError(
            f"clusters must be a whole number from 1 to {channels}, the layer's channels; got {clusters!r}"
        )
    return clusters


def combine(
    A: Float[Array, "K *space"],
    groups: Groups,
    scores: Float[Array, " m"],
    valid: Bool[Array, " m"],
    merge: str,
    score: str,
    *,
    knee: float | int | Array | None,
    fuse: Fuse,
) -> Float[Array, "*space"]:
    """The map that a merge makes of clusters and their scores."""
    if score == "contrast":
        scores = contrast(scores, valid)
    order = rank(scores, valid)
    return MERGES[merge](A, groups, jnp.where(valid, scores, 0), order, knee, fuse)


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


def contrast(scores: Float[Array, " m"], valid: Bool[Array, " m"]) -> Float[Array, " m"]:
    """Valid scores scaled to [0, 1], all 1 where they are equal, minus half their mean."""
    low = jnp.min(jnp.where(valid, scores, jnp.inf))
    high = jnp.max(jnp.where(valid, scores, -jnp.inf))
    apart = high > low
    scaled = (scores - jnp.where(apart, low, 0)) / jnp.where(apart, high - low, 1)
    scaled = jnp.where(valid & apart, scaled, valid.astype(scores.dtype))
    return jnp.where(
        valid, scaled - 0.5 * jnp.sum(scaled) / jnp.maximum(jnp.sum(valid.astype(scores.dtype)), 1), 0
    )


def _members_cut(A, groups, scores, order, knee, fuse):
    share = jnp.where(groups.used, scores[groups.labels], 0)
    fused = fuse(weigh(share, jnp.moveaxis(A, 0, -1)))
    cut = jnp.where(order.valid > 1, 1.0, 0).astype(A.dtype) * groups.masks[order.scissors]
    positive = jnp.where(jnp.any(fused > 0), jax.nn.relu(fused), fused)  # signed channels may add up to none
    base = _display.normalise(positive, rank=positive.ndim) * (1 - cut)
    return base if knee is None else base / (base + knee)


def _weighted(A, groups, scores, order, knee, fuse):
    return fuse(weigh(scores, jnp.moveaxis(groups.masks, 0, -1)))


def _hard(A, groups, scores, order, knee, fuse):
    places = jnp.arange(scores.shape[0])
    base = (places == order.base) & (order.valid > 0)
    scissors = (places == order.scissors) & (order.valid > 1)
    share = base.astype(scores.dtype) - scissors.astype(scores.dtype)
    return fuse(weigh(share, jnp.moveaxis(groups.masks, 0, -1)))


def _each_normalised(stack: Array) -> Array:
    """Each map of a stack `(n, *space)` from 0 to 1."""
    return _display.normalise(stack, rank=stack.ndim - 1)


NORMALISE = {"minmax": _each_normalised, "raw": lambda A: A}
MERGES = {"members-cut": _members_cut, "weighted": _weighted, "hard": _hard}
SCORES = {"contrast": "logit", "softmax": "softmax"}  # what is read of the output
