"""Attention rollout: how much of each token reaches the output through the attention of all blocks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._dtypes import dot
from ..._errors import choose
from ..._fuse import finite_only
from ..._method import of_probe
from ...probes._attention import attention
from ...probes._probe import Image, Probe
from ...targets._score import Target

HEADS = {"mean": jnp.mean, "max": jnp.max, "min": jnp.min}


@of_probe
def rollout(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    heads: str = "mean",
    discard: float = 0.0,
    blocks: int | None = None,
) -> Float[Array, "*space"]:
    """Attention rollout: `R = Π_l rownorm(mean_h A_l + I)`, later blocks on the left; `M = R[class token]`.

    The same map for every class. In a model without leading tokens, such as one that averages its patches, the map is
    the mean of all rows of R.

    Args:
        probe: any layer of a transformer, from `jaxcam.probe`: the map has its size.
        image: `(*space, C)`, preprocessed for the model.
        target: not used.
        heads: how a block's heads are fused: "mean" as in the paper, "max" or "min".
        discard: share of each block's fused attention that counts as 0, the weakest; the class token's on itself
            stays.
        blocks: number of blocks, the last ones; all by default. Of windowed transformers (Swin), those that attend to
            the whole picture.

    Returns:
        Raw map `(*space)`, at least 0: shares of the attention, which with those of the leading tokens add up to 1.

    Raises:
        ValueError: unknown fusion, a share outside of [0, 1), a model without attention, or with one that hides its
            probabilities or has windows.

    Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", arXiv 2005.00928 [paper]; "max", "min"
    and `discard` as jacobgil/vit-explain [third party].
    """
    fuse = choose("heads", heads, HEADS)
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be a share of at least 0 and below 1; got {discard!r}")
    found = attention(probe, image, method="rollout", blocks=blocks)
    probabilities = found.probabilities()
    relevance = jnp.eye(probabilities[0].shape[-1], dtype=probabilities[0].dtype)
    for A in probabilities:
        flow = _strongest(fuse(A, axis=0), discard) + jnp.eye(A.shape[-1], dtype=A.dtype)
        relevance = dot(flow / jnp.sum(flow, axis=-1, keepdims=True), relevance)
    return finite_only(found.read(relevance), *probabilities)


def _strongest(A: Float[Array, "queries keys"], discard: float) -> Float[Array, "queries keys"]:
    """The attention without its weakest entries; the first, which is the class token's on itself, stays."""
    count = int(A.size * discard)
    if not count:
        return A
    _, weakest = jax.lax.top_k(-jax.lax.stop_gradient(A.ravel()), count)
    kept = jnp.ones(A.size, bool).at[weakest].set(False).at[0].set(True)
    return jnp.where(kept.reshape(A.shape), A, 0)
