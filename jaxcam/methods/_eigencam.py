"""Eigen-CAM, EigenGrad-CAM and Seg-Eigen-CAM: the first principal component of the channels."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._fuse import Fuse, principal_component
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target


@of_probe
def eigencam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = principal_component
) -> Float[Array, "*space"]:
    """Eigen-CAM: `M = (A - mean A) v₁`, the activation's first principal component. No class, no gradient.

    When: there is no class to ask for: what the layer reacts to most.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: not used: the map is the same for every class.
        fuse: activation `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, of mean 0; for its sign see `jaxcam.principal_component`.

    Source: Muhammad & Yeasin 2020, "Eigen-CAM", arXiv 2008.00299 [paper]; centring as pytorch-grad-cam
    [third party]; sign [ours].
    """
    _, activation = probe(image)
    return fuse(widen(activation))


@of_probe
def eigengradcam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = principal_component
) -> Float[Array, "*space"]:
    """EigenGrad-CAM: Eigen-CAM of the evidence `E = G ⊙ A`, which depends on the class:
    `M = (E - mean E) v₁`.

    When: maps of a gradient method are noisy and one pattern matters.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, of mean 0; for its sign see `jaxcam.principal_component`.

    Source: pytorch-grad-cam's EigenGradCAM [third party]; sign [ours].
    """
    look = probe.look(image, target)
    return fuse(look.gradient * look.activation)


@of_probe
def segeigencam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = principal_component
) -> Float[Array, "*space"]:
    """Seg-Eigen-CAM: Eigen-CAM of the evidence `E = |G| ⊙ A`, with the sign that makes its largest magnitude
    positive: `M = ± (E - mean E) v₁`, minus where `|min M| > |max M|`.

    Made for segmentation; `jaxcam.segmentation` is a target of it. Other models and targets do as well.

    When: segmentation: gradients of both signs count, and one pattern is wanted.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`, before the sign is chosen.

    Returns:
        Raw signed map `(*space)`, of mean 0.

    Source: Chung & Ying 2025, "Seg-Eigen-CAM", Applied Sciences 15(13):7562 [paper], as pytorch-grad-cam's
    SegEigenCAM [third party].
    """
    look = probe.look(image, target)
    found = fuse(jnp.abs(look.gradient) * look.activation)
    turned = jnp.abs(jnp.min(found)) > jnp.abs(jnp.max(found))
    return jnp.where(turned, -found, found)
