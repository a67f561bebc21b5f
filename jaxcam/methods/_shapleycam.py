"""Shapley-CAM: the gradient, corrected by the curvature of the score along the activation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, positions
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._head import head_of

WEIGHTS = ("channels", "positions")


@of_probe
def shapleycam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    weights: str = "channels",
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Shapley-CAM: `w_k = mean(G_k - ½ (H·A)_k)`, `M = Σ_k w_k A_k`, H·A being the second derivative of the score
    times the activation.

    The score of the activation less that of none, to second order: what a position adds to it, as a Shapley value.
    Only what follows the layer is differentiated, twice. Of a logit behind a linear head H·A is 0 and the map is
    Grad-CAM's; the target that the paper is made for is `jaxcam.rest`, a logit and its log-probability.

    When: the head after the layer bends: the second derivative of the head counts what a gradient leaves out.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        weights: "channels": one for each channel, as above. "positions": one at each position, and only the evidence
            for the target: `M = Σ_k relu((G - ½ H·A)_k ⊙ A_k)`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Raises:
        ValueError: unknown weights.

    Source: Cai 2025, "CAMs as Shapley value-based explainers", arXiv 2501.06261 [paper]; "channels" as
    pytorch-grad-cam's ShapleyCAM, "positions" as the authors' code [third party].
    """
    choose("weights", weights, WEIGHTS)
    head = head_of(probe, image, target)
    along = (head.activation,)
    G, curved = map(widen, jax.jvp(jax.grad(head.score), along, along))
    A = widen(head.activation)
    each = G - 0.5 * curved
    if weights == "channels":
        return fuse(jnp.mean(each, axis=positions(A), keepdims=True) * A)
    evidence = each * A
    return finite_only(fuse(jax.nn.relu(evidence)), evidence)
