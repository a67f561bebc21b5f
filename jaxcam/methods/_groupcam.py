"""Group-CAM: groups of channels, weighted as in Grad-CAM, are the masks."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._display import normalise
from .._dtypes import dot
from .._errors import check_count, choose
from .._fuse import Fuse, channel_sum, finite_only, positions, weigh
from .._kmeans import clustered
from .._masks import blur, reader, score_masks
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target

MERGES = ("weighted", "normalised")
BASELINES = {
    "blur": lambda picture: blur(picture, reach=25, deviation=50.0, mirrored=True),
    "zero": jnp.zeros_like,
}


@of_probe
def groupcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    groups: int = 32,
    grouping: str = "chunks",
    percentile: float | int | None = None,
    merge: str = "weighted",
    score: str = "softmax",
    baseline: str = "blur",
    key: Array | None = None,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Group-CAM: `S_g = relu(Σ_(k in g) w_k A_k)` with `w_k = mean G_k`, `m_g = N(up(S_g))`,
    `y_g = relu(p_c(x ⊙ m_g + b ⊙ (1 - m_g)) - p_c(b))`, `M = Σ_g y_g S_g`.

    A group that is constant is left out. A callable target's value is the score.

    When: masks without K forward passes: 33 of them, and one gradient for the weights.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
            Its raw value, a logit, is what is differentiated.
        groups: number of groups, at most; a layer of fewer channels has one for each of them.
        grouping: "chunks": neighbours in the layer's order, as many in each group, fewer in the last; or "kmeans":
            clusters of `w_k A_k`.
        percentile: from 0 to 100. What lies at or below that percentile of S_g is set to 0: 70 in earlier versions of
            the authors' code. None: nothing is.
        merge: "weighted": as above; or "normalised": `Σ_g y_g N(S_g)`, as in earlier versions.
        score: y, "softmax": of the target's probability; or "logit".
        baseline: b, "blur" (Gaussian, 51 x 51, deviation 50, mirrored at the border) or "zero".
        key: of `jax.random`, for k-means; `jax.random.key(0)` by default.
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, groups)` -> map `(*space)`.

    Returns:
        Raw map `(*space)`, at least 0 but for `fuse`.

    Raises:
        ValueError: groups or chunk below 1, a percentile out of range, an unknown grouping, merge, score or baseline.

    Source: Zhang et al. 2021, "Group-CAM", arXiv 2103.13859 [paper]; all defaults as the authors' code at its last
    version.
    """
    check_count("groups", groups)
    member = choose("grouping", grouping, GROUPINGS)
    choose("merge", merge, MERGES)
    fill = choose("baseline", baseline, BASELINES)(jnp.asarray(image))
    if percentile is not None and not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be a number from 0 to 100, or None; got {percentile!r}")
    # Weigh the channels and add them up in groups.
    look = probe.look(image, target)
    read = reader(look.output, target, score)
    weights = jnp.mean(look.gradient, axis=positions(look.gradient))
    evidence = jnp.moveaxis(weigh(weights, look.activation), -1, 0)
    channels = evidence.reshape(evidence.shape[0], -1)
    labels, count = member(channels, min(groups, channels.shape[0]), key)
    members = jax.nn.one_hot(labels, count, axis=0, dtype=channels.dtype)
    sums = jax.nn.relu(dot(members, channels))
    if percentile is not None:
        sums = jnp.where(sums > jnp.percentile(sums, percentile, axis=1, keepdims=True), sums, 0)
    sums = sums.reshape(count, *evidence.shape[1:])
    # Score the image behind the mask of each group.
    scores, valid = score_masks(probe, image, sums, read, baseline=fill, chunk=chunk)
    gains = jnp.where(valid, jax.nn.relu(scores - read(probe(fill)[0])), 0)
    # Merge the groups into one map.
    if merge == "normalised":
        sums = normalise(sums, rank=sums.ndim - 1)
    return finite_only(fuse(weigh(gains, jnp.moveaxis(sums, 0, -1))), evidence, scores)


def _chunks(channels: Array, groups: int, key: Array | None) -> tuple[Int[Array, " K"], int]:
    """The group of each channel, and the number of groups, as torch's `chunk` makes them."""
    size = math.ceil(channels.shape[0] / groups)
    return jnp.arange(channels.shape[0]) // size, math.ceil(channels.shape[0] / size)


def _kmeans(channels: Array, groups: int, key: Array | None) -> tuple[Int[Array, " K"], int]:
    key = jax.random.key(0) if key is None else key
    return clustered(channels, groups, key, restarts=4, iterations=30, weights=None).labels, groups


GROUPINGS = {"chunks": _chunks, "kmeans": _kmeans}
