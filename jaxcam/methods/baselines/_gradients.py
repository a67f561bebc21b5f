"""The gradient itself: saliency, gradient × input, and guided backpropagation."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._errors import choose
from ..._fuse import Fuse, channel_sum, finite_only
from ..._method import of_probe
from ...probes._guided import guided
from ...probes._probe import Image, Look, Probe
from ...targets._score import Target
from .._hirescam import hirescam

CHANNELS = {
    "max": lambda G: jnp.max(jnp.abs(G), axis=-1),
    "mean": lambda G: jnp.mean(jnp.abs(G), axis=-1),
    "sum": lambda G: jnp.sum(G, axis=-1),
}


@of_probe
def saliency(
    probe: Probe, image: Image, target: Target = None, *, channels: str = "max"
) -> Float[Array, "*space"]:
    """Saliency: `M = max_k |G_k|`, the size of the gradient, G being ∂s/∂A; at `jaxcam.INPUT`, A is the image.

    When: which pixels the score is most sensitive to; noisy, and blind to saturation.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        channels: "max", the largest absolute value; "mean", the mean absolute value; "sum", the signed sum.

    Returns:
        Map `(*space)`, at least 0 but for "sum".

    Raises:
        ValueError: unknown channels.

    Source: Simonyan et al. 2014, "Deep Inside Convolutional Networks", arXiv 1312.6034 [paper], "max" as there.
    """
    return _of_channels(probe.look(image, target), channels)


@of_probe
def gradient_times_input(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """Gradient × input: `M = Σ_k G_k ⊙ A_k` at `jaxcam.INPUT`, where A is the image. At a layer it is HiResCAM.

    When: attributions in units of the score; at the input of a network without biases they add up to it.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score; displayed, only the evidence for the target is seen.

    Source: Shrikumar et al. 2016, "Not Just a Black Box", arXiv 1605.01713 [paper].
    """
    return hirescam(probe, image, target, fuse=fuse)


@of_probe
def guided_backpropagation(
    probe: Probe, image: Image, target: Target = None, *, channels: str = "sum"
) -> Float[Array, "*space"]:
    """Guided backpropagation: `M = Σ_k G_k`, G being the gradient ∂s/∂A where every ReLU after the layer passes on
    what is positive only: `g · 1[g > 0] · 1[x > 0]`.

    It hardly depends on the class, nor on the weights of the last layers (Adebayo et al. 2018, arXiv 1810.03292).
    `jaxcam.guided` says what counts as a ReLU, and how the peers differ.

    When: sharp pictures of what excites the ReLUs; it hardly depends on the class, so do not judge a class by it.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model with ReLUs.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        channels: "sum", the signed sum; "max", the largest absolute value; "mean", the mean absolute value.

    Returns:
        Map `(*space)`, signed where channels is "sum": displayed, only what is positive is seen.

    Raises:
        ValueError: unknown channels; a model without any ReLU.

    Source: Springenberg et al. 2015, "Striving for Simplicity", arXiv 1412.6806 [paper]; the channels as
    one map [ours].
    """
    return _of_channels(guided(probe).look(image, target), channels)


def _of_channels(look: Look, channels: str) -> Array:
    reduce = choose("channels", channels, CHANNELS)
    return finite_only(reduce(look.gradient), look.activation, look.gradient)
