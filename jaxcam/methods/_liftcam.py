"""LIFT-CAM: a channel's weight is what DeepLIFT says that it adds to the score."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._fuse import Fuse, channel_sum, finite_only, positions, weigh
from .._method import of_probe
from ..probes._marks import vary, varying
from ..probes._probe import Image, Probe
from ..probes._rescale import multipliers
from ..targets._score import Target
from ._head import head_of


@of_probe
def liftcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    baseline: float | int | Array = 0,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """LIFT-CAM: `w_k = Σ m_k ⊙ (A_k - A⁰_k)`, m being DeepLIFT's multipliers of the score at the activation, against
    the baseline A⁰; `M = Σ_k w_k A_k`.

    Where one linear layer follows, with or without pooling before it, `w_k = Σ G_k ⊙ A_k` is the exact Shapley value of
    channel k; elsewhere it comes near to it. The multipliers follow the rescale rule, found in the model's program: a
    nonlinear function of one array has `Δout / Δin` instead of its derivative, such as ReLU, SiLU, tanh or a logarithm;
    the largest of a pool counts as in captum. What neither of these nor linear is keeps its derivative: a product or
    quotient of two arrays that both depend on the activation, a loop, a branch. Only the head runs again.

    When: the weight of a channel is to be its share of the score: exact before a linear head, one pass back.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        baseline: A⁰, a number or an array that broadcasts to the activation.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score times the activation.

    Raises:
        ValueError: a baseline of another shape.

    Source: Jung & Oh 2021, "Towards better explanations of class activation mapping", arXiv 2102.05228 [paper]; the
    rules as captum's LayerDeepLift [third party].
    """
    head = head_of(probe, image, target)
    activation = head.activation
    try:
        below = jnp.broadcast_to(jnp.asarray(baseline, activation.dtype), activation.shape)
    except ValueError:
        raise ValueError(
            f"baseline must be a number or an array like the activation {activation.shape}; got shape "
            f"{jnp.shape(baseline)}"
        ) from None
    reference = vary(below, varying(activation))
    change = widen(multipliers(head.program, activation, reference)) * (widen(activation) - widen(reference))
    weights = jnp.sum(change, axis=positions(change))
    return finite_only(fuse(weigh(weights, widen(activation))), activation)
