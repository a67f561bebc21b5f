"""Ablation-CAM: the weight of a channel is the share of the score that is lost without it."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._masks import reader
from .._method import of_probe
from ..devices._chunks import over_chunks
from ..probes._probe import Image, Probe
from ..targets._score import Target


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

    Nothing before the layer runs again: K channels cost one forward pass and K passes of the head. No gradient. Where
    y is 0, the weights are not divided. Like the peer's, the weights change sign with a negative score.

    When: the weight of a channel is to be the loss of score without it: K passes of the head alone.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        chunk: channels that are ablated at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: `chunk` out of range.

    Source: Desai & Ramaswamy 2020, "Ablation-CAM", WACV [paper]; for layers whose smallest activation is 0 it is
    pytorch-grad-cam's [third party].
    """
    output, activation = probe(image)
    read = reader(output, target, "logit")
    channels = jnp.arange(activation.shape[-1])

    def without(k):
        left = jnp.where(jnp.broadcast_to(channels == k, activation.shape), 0, activation)
        # the activation found on the way is not used, so what comes before the layer is never run
        return read(probe(image, lambda _: left)[0])

    scores = over_chunks(without, channels, chunk, image.shape)
    whole = read(output)
    weights = (whole - scores) / jnp.where(whole == 0, 1, whole)
    return finite_only(fuse(weigh(weights, widen(activation))), activation)
