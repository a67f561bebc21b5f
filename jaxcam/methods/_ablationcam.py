"""Ablation-CAM: the weight of a channel is the share of the score that is lost without it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._errors import check_count
from .._fuse import Fuse, channel_sum, finite_only, positions, weigh
from .._method import of_probe
from ..devices._chunks import over_chunks
from ..probes._linear import affine
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._head import Head, head_of


@of_probe
def ablationcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Ablation-CAM: `w_k = (y - y_k) / y`, y_k being the score with channel k set to 0; `M = Σ_k w_k A_k`.

    Nothing before the layer runs again: K channels cost one forward pass and K passes of the head. Where the score is
    linear in the activation, but for a constant, as after pooling and one linear layer, `y - y_k = Σ G_k ⊙ A_k`
    exactly, and all channels cost one backward pass of the head; that is found in the model's program and the target's.
    Where y is 0, the weights are not divided. Like the peer's, the weights change sign with a negative score.

    When: the weight of a channel is to be the loss of score without it: K passes of the head alone.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        chunk: channels that are ablated at once, where the score is not linear; by default what suits the device,
            as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: `chunk` out of range.

    Source: Desai & Ramaswamy 2020, "Ablation-CAM", WACV [paper]; for layers whose smallest activation is 0 it is
    pytorch-grad-cam's [third party].
    """
    if chunk is not None:
        check_count("chunk", chunk)
    head = head_of(probe, image, target)
    lost = _by_gradient(head) if affine(head.program) else _by_ablation(head, chunk, image.shape)
    weights = lost / jnp.where(head.whole == 0, 1, head.whole)
    return finite_only(fuse(weigh(weights, widen(head.activation))), head.activation)


def _by_gradient(head: Head) -> Float[Array, " K"]:
    lost = widen(jax.grad(head.score)(head.activation)) * widen(head.activation)
    return jnp.sum(lost, axis=positions(lost))


def _by_ablation(head: Head, chunk: int | None, image: tuple[int, ...]) -> Float[Array, " K"]:
    channels = jnp.arange(head.activation.shape[-1])

    def without(k: Array) -> Array:
        kept = jnp.broadcast_to(channels != k, head.activation.shape)
        return head.score(jnp.where(kept, head.activation, 0))

    return head.whole - over_chunks(without, channels, chunk, image)
