"""Cluster-CAM: clusters of channels are the masks, so a handful of forward passes is enough."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .. import _display
from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only
from .._kmeans import clustered
from .._masks import reader, score_masks, varies
from .._targets import Target
from ..probes._probe import Image, Probe
from ._cluster_merges import MERGES, SCORES, Groups, combine
from ._of_probe import of_probe

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
    scissors: float | int | Array = 1.0,
    knee: float | int | Array | None = 0.25,
    temperature: float | int | Array = 0.1,
    baseline: str = "zero",
    key: Array | None = None,
    restarts: int = 4,
    iterations: int = 30,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "h w"]:
    """Cluster-CAM: `M_j = N(centre_j)` of k-means over channels, `s_j = s_c(x ⊙ N(up(centre_j)))`, and a merge of them
    into the map, such as `M = Σ_j s_j M_j`. No gradient; m clusters cost m + 1 forward passes, whatever K.

    The merges, with base and scissors the clusters of the highest and lowest score (of equals, the first):

    - "weighted": `Σ_j s_j M_j`; "members": `Σ_j s_j Σ_(k in j) A_k`, the clusters' own channels instead of masks.
    - "weighted-cut", "members-cut": that map, cut by the scissors: `B = N(relu(map)) ⊙ (1 - λ M_scissors)`, then
      brightened without a change of order, `B / (B + κ)`. Of a map that is nowhere above 0, as signed channels may
      give, `B` has `N(map)` instead.
    - "hard": `M_base - λ M_scissors`; "score-weighted": `v M_base - λ (1 - v) M_scissors`, `v = s_base`.
    - "soft": `α = softmax(s / τ)`; `Σ α_j M_j` over `α_j ≥ 1/m`, minus λ times the same over the others.

    Channels and masks that are constant are left out. Where one cluster is left there are no scissors; where none is,
    the map is 0. A callable target's value is the score.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(H, W, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        clusters: from 1 to the layer's number of channels; by default 28, or that number where it is smaller. Fewer
            are found where fewer channels are distinct. `jaxcam.elbow` suggests a number for a layer.
        normalise: of each channel before k-means: "raw", "l2" (unit length), "centred" (minus its mean, then unit
            length), "minmax" (to [0, 1]).
        merge: one of the above.
        score: s, "softmax": the target's probability; "logit"; "minmax": logits scaled to [0, 1] over the clusters
            (by which "score-weighted" is "hard"); "contrast": the same minus half their mean, so that clusters of low
            score speak against.
        scissors: λ, at least 0.
        knee: κ of the merges that cut, above 0: the smaller, the brighter. None: the map is B.
        temperature: τ of "soft", above 0.
        baseline: what stands where a mask is 0: "zero", or "blur" (Gaussian, 11 x 11, deviation 5).
        key: of `jax.random`, for k-means; `jax.random.key(0)` by default.
        restarts: of k-means.
        iterations: of k-means, at most.
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(h, w, m)` of clusters, or `(h, w, K)` of members -> map `(h, w)`.

    Returns:
        Raw signed map `(h, w)`; in [0, 1] where it was cut, otherwise in units of the score (of members: times the
        activation).

    Raises:
        ValueError: clusters, scissors, knee, temperature or chunk out of range, an unknown normalise, merge, score or
            baseline.

    Source: Feng et al. 2023, "Cluster-CAM", arXiv 2302.01642 [paper] for clusters, base and scissors; "hard" and
    "score-weighted" [third party]; everything else, defaults among it, [ours].
    """
    scale = choose("normalise", normalise, NORMALISE)
    choose("merge", merge, MERGES)
    reads = choose("score", score, SCORES)
    _check(scissors, knee, temperature)
    output, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    groups = group(
        scale(A), _count(clusters, A.shape[0]), varies(A), key=key, restarts=restarts, iterations=iterations
    )
    scores, valid = score_masks(
        probe, image, groups.masks, reader(output, target, reads), baseline=baseline, chunk=chunk
    )
    found = combine(
        A,
        groups,
        scores,
        valid,
        merge,
        score,
        scissors=scissors,
        knee=knee,
        temperature=temperature,
        fuse=fuse,
    )
    return finite_only(found, A, scores)


def group(
    channels: Float[Array, "K h w"],
    clusters: int,
    used: Bool[Array, " K"],
    *,
    key: Array | None,
    restarts: int,
    iterations: int,
) -> Groups:
    """k-means of channels; those that are not `used` take no part."""
    K, h, w = channels.shape
    key = jax.random.key(0) if key is None else key
    weights = used.astype(channels.dtype)
    found = clustered(
        channels.reshape(K, h * w),
        clusters,
        key,
        restarts=restarts,
        iterations=iterations,
        weights=weights,
    )
    filled = jnp.zeros(clusters, channels.dtype).at[found.labels].add(weights) > 0
    centers = jnp.where(filled[:, None], found.centers, 0).reshape(clusters, h, w)
    return Groups(_display.normalise(centers), found.labels, used)


def _unit(A: Array) -> Array:
    squares = jnp.sum(A * A, axis=(1, 2), keepdims=True)
    length = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 1)
    return A / length


NORMALISE = {
    "raw": lambda A: A,
    "l2": lambda A: _unit(_tame(A)),
    "centred": lambda A: _unit(_tame(A - jnp.mean(A, axis=(1, 2), keepdims=True))),
    "minmax": _display.normalise,
}


def _tame(A: Array) -> Array:
    """Each channel divided by its largest magnitude, so that its square stays inside the range of float32."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(A), axis=(1, 2), keepdims=True))
    return A / jnp.where(largest > 0, largest, 1)


def _count(clusters: int | None, channels: int) -> int:
    if clusters is None:
        return min(CLUSTERS, channels)
    if isinstance(clusters, bool) or not isinstance(clusters, int) or not 1 <= clusters <= channels:
        raise ValueError(
            f"clusters is a whole number from 1 to {channels}, the layer's channels; got {clusters!r}"
        )
    return clusters


def _check(
    scissors: float | int | Array, knee: float | int | Array | None, temperature: float | int | Array
) -> None:
    if not isinstance(scissors, jax.Array) and not 0 <= scissors < math.inf:
        raise ValueError(f"scissors is a strength of at least 0; got {scissors!r}")
    if knee is not None and not isinstance(knee, jax.Array) and not 0 < knee < math.inf:
        raise ValueError(f"knee is a number above 0, or None; got {knee!r}")
    if not isinstance(temperature, jax.Array) and not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0; got {temperature!r}")
