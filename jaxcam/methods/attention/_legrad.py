"""LeGrad: the sensitivity of the score at every block to that block's attention."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._errors import choose
from ..._fuse import finite_only
from ..._method import of_probe
from ...probes._attention import attention
from ...probes._probe import Image, Probe
from ...targets._score import Target

SCORES = ("mean", "head", "output")


@of_probe
def legrad(
    probe: Probe, image: Image, target: Target = None, *, score: str = "mean", blocks: int | None = None
) -> Float[Array, "*space"]:
    """LeGrad: `M = mean_l mean_h mean_q relu(∂s_l/∂A_l)`, over blocks l, heads h and queries q; s_l is the score that
    the head reads of block l's own output.

    The head is what follows the last block, found in the program: the final norm, the pooling, the classifier.

    When: a map of a class from all blocks at once, each read by the head itself.

    Args:
        probe: any layer of a transformer, from `jaxcam.probe`: the map has its size.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class of the whole model, or a callable `output -> scalar`.
        score: what s_l is. "mean": the head gets the mean of the block's tokens in place of each token, as the authors
            do it, so that every query counts also where the head reads the class token alone. "head": the head gets
            the block's output as it is. "output": the model's own score, for models whose head cannot be found.
        blocks: number of blocks, the last ones; all by default (the authors' code takes the last two). Of windowed
            transformers (Swin), those that attend to the whole picture.

    Returns:
        Raw map `(*space)`, at least 0, in units of the score.

    Raises:
        ValueError: an unknown score; a model without attention, or with one that hides its probabilities or has
            windows; a model whose blocks do not follow each other, but for `score="output"`.

    Source: Bousselham et al. 2024, "LeGrad", arXiv 2404.03214 [paper]; "mean" as the authors' code; "head" and
    "output" [ours].
    """
    choose("score", score, SCORES)
    found = attention(probe, image, method="legrad", blocks=blocks)
    own, pooled = score == "output", score == "mean"
    seen = found.look(target) if own else found.look_at_blocks(target, pooled=pooled)
    rows = [jnp.mean(jax.nn.relu(block.gradient), axis=(0, 1)) for block in seen]
    return finite_only(found.map(jnp.mean(jnp.stack(rows), axis=0)), *(block.gradient for block in seen))
