"""The gradient family: Grad-CAM, element-wise Grad-CAM, Grad-CAM++, XGrad-CAM and Layer-CAM.

Each weighs the activation A `(*space, K)` of a layer by its gradient `G = ∂s/∂A` and fuses the channels. A sum or a
mean without further words runs over positions; all return the raw, signed map at the layer's size.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._fuse import Fuse, channel_sum, finite_only, positions
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target


@of_probe
def gradcam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """Grad-CAM: `w_k = mean G_k`, `M = Σ_k w_k A_k`.

    When: a first look and the reference of most papers, at the last convolutional layer. Its mean over positions can
    show what the score does not use.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391 [paper]. The paper's ReLU is a display step here.
    """
    look = probe.look(image, target)
    weights = jnp.mean(look.gradient, axis=positions(look.gradient), keepdims=True)
    return fuse(weights * look.activation)


@of_probe
def gradcam_elementwise(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """Element-wise Grad-CAM: `M = Σ_k relu(G_k ⊙ A_k)`, only the evidence for the target.

    When: only the evidence for the class is to be shown, position by position.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw map `(*space)`, at least 0, in units of the score.

    Source: pytorch-grad-cam's GradCAMElementWise [third party].
    """
    look = probe.look(image, target)
    evidence = look.gradient * look.activation
    return finite_only(fuse(jax.nn.relu(evidence)), evidence)


@of_probe
def gradcampp(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """Grad-CAM++: `α_k = G_k² / (2 G_k² + (Σ A_k) G_k³ + 1e-6)`, 0 where G is 0; `w_k = Σ relu(G_k) α_k`;
    `M = Σ_k w_k A_k`.

    The closed form of α holds for an exponential of the score; the gradient used is that of the score itself.

    When: several objects of the class in one picture, and maps of several layers (`over_layers`).

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`.

    Source: Chattopadhay et al. 2018, "Grad-CAM++", arXiv 1710.11063 [paper]; the constant 1e-6 is
    pytorch-grad-cam's [third party].
    """
    A, G = (look := probe.look(image, target)).activation, look.gradient
    total = jnp.sum(A, axis=positions(A), keepdims=True)
    squared = look.power(2)
    below = 2 * squared + total * look.power(3) + 1e-6
    alpha = jnp.where((G == 0) | (below == 0), 0, squared / jnp.where(below == 0, 1, below))
    weights = jnp.sum(jax.nn.relu(G) * alpha, axis=positions(A), keepdims=True)
    return fuse(weights * A)


@of_probe
def xgradcam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """XGrad-CAM: `w_k = Σ (G_k ⊙ A_k) / (Σ A_k + 1e-7)`, `M = Σ_k w_k A_k`.

    The mean gradient, weighted by the activation, so that the map adds up to what HiResCAM's does. A channel whose
    activations sum to exactly -1e-7 weighs 0.

    When: a map of channels' weights that adds up to what HiResCAM's does, after a ReLU.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Source: Fu et al. 2020, "Axiom-based Grad-CAM", arXiv 2008.02312 [paper]; the constant 1e-7 is
    pytorch-grad-cam's [third party].
    """
    A, G = (look := probe.look(image, target)).activation, look.gradient
    total = jnp.sum(A, axis=positions(A), keepdims=True) + 1e-7
    weights = jnp.sum(G * A, axis=positions(A), keepdims=True)
    weights = weights / jnp.where(total == 0, jnp.inf, total)
    return fuse(weights * A)


@of_probe
def layercam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """Layer-CAM: `M = Σ_k relu(G_k) ⊙ A_k`. Sharp at early layers too.

    When: early layers, where it stays sharp; several layers by `over_layers`.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Source: Jiang et al. 2021, "LayerCAM", IEEE TIP 30 [paper].
    """
    look = probe.look(image, target)
    return fuse(jax.nn.relu(look.gradient) * look.activation)
