"""Attention relevance: rollout with each block's attention weighed by the target's gradient."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._dtypes import dot
from ..._fuse import finite_only
from ..._method import of_probe
from ...probes._attention import attention
from ...probes._probe import Image, Probe
from ...targets._score import Target


@of_probe
def attention_relevance(
    probe: Probe, image: Image, target: Target = None, *, blocks: int | None = None
) -> Float[Array, "*space"]:
    """Attention relevance: `R = I`, then in each block `R += mean_h relu(∂s/∂A_l ⊙ A_l) R`; `M = R[class token]`.

    In a model without leading tokens, such as one that averages its patches, the map is the mean of all rows of R.

    Args:
        probe: any layer of a transformer, from `jaxcam.probe`: the map has its size.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        blocks: number of blocks, the last ones; all by default. Of windowed transformers (Swin), those that attend to
            the whole picture.

    Returns:
        Raw map `(*space)`, at least 0.

    Raises:
        ValueError: a model without attention, or with one that hides its probabilities or has windows.

    Source: Chefer et al. 2021, "Generic Attention-model Explainability", arXiv 2103.15679, the rule for self-attention
    [paper].
    """
    found = attention(probe, image, method="attention_relevance", blocks=blocks)
    seen = found.look(target)
    relevance = jnp.eye(seen[0].probabilities.shape[-1], dtype=seen[0].probabilities.dtype)
    for block in seen:
        flow = jnp.mean(jax.nn.relu(block.gradient * block.probabilities), axis=0)
        relevance = relevance + dot(flow, relevance)
    return finite_only(found.read(relevance), *(block.gradient for block in seen), seen[-1].probabilities)
