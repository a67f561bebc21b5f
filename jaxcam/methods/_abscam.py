"""Abs-CAM: channels are weighted by absolute gradients, then by the score of the image behind each as a mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _display
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, positions, weigh
from .._masks import SCORES, cover, reader, score_masks, settle
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target

MERGES = ("weighted", "normalised", "single")


@of_probe
def abscam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    phase: int = 2,
    merge: str = "weighted",
    score: str = "softmax",
    baseline: str = "zero",
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Abs-CAM: `w_k = mean |G_k|`, `M_k = N(up(w_k A_k))`, `y_k = p_c(x ⊙ M_k)`, `M = Σ_k y_k w_k A_k`.

    Phase 1 is `Σ_k w_k A_k` alone: one forward and one backward pass. Phase 2 adds a forward pass for each channel.
    Its merges:

    - "weighted": as above. A mask does not depend on the scale of `w_k A_k`, so the gradient lives on in the merge.
    - "normalised": `Σ_k y_k N(A_k)` over channels with `w_k > 0`, in which the gradient's size cancels.
    - "single": the phase-1 map of the image behind its own phase-1 map, `x ⊙ N(up(relu(Σ_k w_k A_k)))`.

    A channel that is constant or has no gradient is left out. A callable target's value is the score.

    When: channels that speak against the class matter as well, and K forward passes may be spent.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
            Its raw value, a logit, is what is differentiated.
        phase: 1 or 2.
        merge: of phase 2, one of the above.
        score: y, "softmax": the target's probability; or "logit", for outputs that are sure of themselves.
        baseline: what stands where a mask is 0: "zero", or "blur" (Gaussian, 11 x 11, deviation 5).
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`: phase 1 in units of the score, times y in phase 2 ("normalised": units of y).

    Raises:
        ValueError: an unknown phase, merge, score or baseline, `chunk` out of range.

    Source: Zeng et al. 2022, "Abs-CAM", arXiv 2207.03648 [paper] for absolute gradients and two phases; phase 1 and
    "normalised" [third party]; "weighted" and "single" [ours].
    """
    if phase not in (1, 2):
        raise ValueError(f"phase must be 1 or 2; got {phase!r}")
    choose("merge", merge, MERGES)
    choose("score", score, SCORES)
    look = probe.look(image, target)
    w = _weights(look.gradient)
    evidence = weigh(w, look.activation)
    if phase == 1:
        return finite_only(fuse(evidence), evidence)
    if merge == "single":
        behind = cover(image, baseline=baseline)(jax.nn.relu(jnp.sum(evidence, axis=-1)))
        again = probe.look(behind, settle(look.output, target))
        found = fuse(weigh(_weights(again.gradient), again.activation))
        return finite_only(found, evidence)
    masks, origin = jnp.moveaxis(evidence, -1, 0), evidence
    scores, _ = score_masks(
        probe, image, masks, reader(look.output, target, score), baseline=baseline, chunk=chunk
    )
    if merge == "normalised":
        evidence = jnp.moveaxis(_display.normalise(masks, rank=masks.ndim - 1), 0, -1)
    return finite_only(fuse(weigh(scores, evidence)), origin)


def _weights(gradient: Array) -> Float[Array, " K"]:
    """The mean over positions of the gradient's magnitude: the absolute value comes first."""
    return jnp.mean(jnp.abs(gradient), axis=positions(gradient))
