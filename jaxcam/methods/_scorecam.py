"""Score-CAM: every channel is a mask, and its weight is the model's score of the image behind the mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._masks import reader, score_masks
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target

WEIGHTS = {"channels": "logit", "probability": "softmax"}  # and the score that each one reads


@of_probe
def scorecam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    weights: str = "channels",
    top: int | None = None,
    baseline: str = "zero",
    align_corners: bool = True,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Score-CAM: `s_k = s_c(x ⊙ N(up(A_k)))`, `w = softmax_k(s)`, `M = Σ_k w_k A_k`. No gradient.

    A channel that is constant weighs 0. A callable target's value is the score.

    When: no gradient is to be had or trusted, and K forward passes may be spent.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        weights: "channels": softmax over the channels of their raw scores. "probability": `w_k = p_c`, the softmax
            probability over the classes of the masked image.
        top: number of channels to score, those of the largest standard deviation over positions; all by default.
        baseline: what stands where a mask is 0: "zero", or "blur" (Gaussian, 11 x 11, deviation 5).
        align_corners: how masks are enlarged: corner on corner as the peer does, or by half-pixel centres (False).
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: unknown weights or baseline, `top` or `chunk` out of range.

    Source: Wang et al. 2020, "Score-CAM", arXiv 1910.01279; weights and masks as pytorch-grad-cam's ScoreCAM
    [third party]; "probability" as the authors' code; `top` as Faster-Score-CAM [third party].
    """
    score = choose("weights", weights, WEIGHTS)
    output, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    if top is not None:
        A = A[_most_varied(A, top)]
    read = reader(output, target, score)
    scores, valid = score_masks(
        probe, image, A, read, baseline=baseline, chunk=chunk, align_corners=align_corners
    )
    if weights == "channels":
        scores = channel_softmax(scores, valid)
    return finite_only(fuse(weigh(scores, jnp.moveaxis(A, 0, -1))), activation, scores)


def channel_softmax(scores: Array, valid: Array) -> Array:
    """Softmax over the valid scores; 0 for the others, and everywhere if there is none."""
    highest = jnp.max(jnp.where(valid, scores, -jnp.inf), initial=jnp.finfo(scores.dtype).min)
    shares = jnp.where(valid, jnp.exp(jnp.where(valid, scores - jax.lax.stop_gradient(highest), 0)), 0)
    total = jnp.sum(shares)
    return shares / jnp.where(total > 0, total, 1)


def _most_varied(A: Array, top: int) -> Array:
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= A.shape[0]:
        raise ValueError(f"top must be a number of channels, from 1 to the layer's {A.shape[0]}; got {top!r}")
    _, channels = jax.lax.top_k(jax.lax.stop_gradient(jnp.std(A, axis=tuple(range(1, A.ndim)))), top)
    return channels
