"""Guided Grad-CAM: guided backpropagation where Grad-CAM looks."""

import jax
from jaxtyping import Array, Float

from ..._checks import check_probe
from ..._display import resize
from ..._fuse import finite_only
from ..._masks import settle
from ...probes._probe import Image, Probe
from ...targets._score import Target
from .._gradcam import gradcam
from ._gradients import guided_backpropagation


def guided_gradcam(
    probe: Probe, image: Image, target: Target = None, *, channels: str = "sum"
) -> Float[Array, "*space"]:
    """Guided Grad-CAM: `M = up(relu(Σ_k w_k A_k)) ⊙ M_guided`, Grad-CAM's map enlarged to the size of guided
    backpropagation's, and times it.

    Of a probe of two layers, `jaxcam.probe(model, (jaxcam.INPUT, "layer4"))`, the first is where guided backpropagation
    ends and the second is Grad-CAM's; of a probe of one, both are that layer. Grad-CAM's own gradient stays plain.

    When: a sharp picture for the eye, of the region that Grad-CAM finds. Take a probe of the input and a layer.

    Args:
        probe: of two layers, or of one, from `jaxcam.probe`; of a model with ReLUs.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        channels: of the guided gradient: "sum", the signed sum; "max", the largest absolute value; "mean", the mean
            absolute value.

    Returns:
        Map `(*space)` of the first layer's size, signed where channels is "sum": displayed, only what is positive is
        seen.

    Raises:
        ValueError: unknown channels; a model without any ReLU; more than two layers.

    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391 [paper], bilinear as there (captum enlarges by nearest
    neighbours by default); the channels as one map [ours].
    """
    check_probe(probe)
    first, *others = probe.layers
    if len(others) > 1:
        raise ValueError(
            f"guided_gradcam takes a probe of two layers, where it ends and Grad-CAM's; got {', '.join(probe.layers)}"
        )
    last = others[0] if others else first
    if target is None:
        target = settle(probe(image)[0], None)
    fine = guided_backpropagation(probe[first], image, target, channels=channels)
    coarse = gradcam(probe[last], image, target)
    enlarged = resize(jax.nn.relu(coarse), fine.shape).astype(fine.dtype)
    return finite_only(enlarged * fine, coarse)
