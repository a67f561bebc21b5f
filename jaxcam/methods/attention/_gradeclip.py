"""Grad-ECLIP: values of the patches, weighed by the gradient at the class token and by their likeness to its query."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._display import normalise
from ..._errors import check_count
from ..._fuse import finite_only
from ..._method import of_probe
from ...probes._attention import Block, attention
from ...probes._probe import Image, Probe
from ...targets._score import Target


@of_probe
def gradeclip(
    probe: Probe, image: Image, target: Target = None, *, blocks: int = 1, likeness: bool = True
) -> Float[Array, "*space"]:
    """Grad-ECLIP: `M = Σ_l relu(Σ_d g_d v_pd N(cos(q, k_p)))`, with g the gradient of the score with respect to what
    the heads return at the class token, q the class token's query, k_p and v_p the key and the value of patch p, all
    heads side by side; N min-max over the patches.

    Made for CLIP, whose target is a similarity with a text (`jaxcam.similarity`, or a callable of one's own); it takes
    any target and any transformer. In a model without leading tokens, g is the sum over all queries, and q their mean
    [ours].

    Args:
        probe: any layer of a transformer, from `jaxcam.probe`: the map has its size.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        blocks: number of blocks l, the last ones. Of windowed transformers (Swin), those that attend to the whole
            picture.
        likeness: whether the factor N(cos(q, k_p)) is there.

    Returns:
        Raw map `(*space)`, at least 0, in units of the score.

    Raises:
        ValueError: a model without attention, or with one that hides its probabilities or has windows; scores that are
            not products of queries and keys.

    Source: Zhao et al. 2024, "Gradient-based Visual Explanation for Transformer-based CLIP", ICML [paper]. The
    authors' code runs the explained blocks with one head in place of many; here they run as they are.
    """
    check_count("blocks", blocks)
    found = attention(probe, image, method="gradeclip", blocks=blocks)
    seen = found.look(target, outputs=True)
    rows = [jax.nn.relu(_evidence(block, found.leading, likeness)) for block in seen]
    return finite_only(found.map(jnp.sum(jnp.stack(rows), axis=0)), *(block.gradient for block in seen))


def _evidence(block: Block, leading: int, likeness: bool) -> Float[Array, " keys"]:
    """The values of each key, weighed. Likeness is scaled among the patches; that of leading tokens is 0."""
    precise = jax.lax.Precision.HIGHEST
    gradient = block.gradient[:, :, 0] if leading else jnp.sum(block.gradient, axis=2)
    evidence = jnp.einsum("hgd,hkd->k", gradient, block.values, precision=precise)
    if not likeness:
        return evidence
    if block.queries is None or block.keys is None:
        raise ValueError(
            "gradeclip compares queries with keys, and this model's attention is not made of their products: pass "
            "likeness=False"
        )
    queries = block.queries[:, :, 0] if leading else jnp.mean(block.queries, axis=2)
    products = jnp.einsum("hgd,hkd->k", queries, block.keys, precision=precise)
    lengths = _length(queries, (0, 1, 2)) * _length(block.keys, (0, 2)) * queries.shape[1] ** 0.5
    cosine = products / jnp.where(lengths > 0, lengths, 1)
    return evidence * jnp.pad(normalise(cosine[leading:], rank=1), (leading, 0))


def _length(x: Array, axes: tuple[int, ...]) -> Array:
    square = jnp.sum(x * x, axis=axes)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
