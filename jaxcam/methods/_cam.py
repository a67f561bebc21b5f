"""CAM, the first of them: the weights of the classification layer, without a gradient of the network."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _targets
from .._fuse import Fuse, channel_sum
from .._probe import Image, Probe, widen
from .._targets import Target


def cam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    weights: Float[Array, "K classes"] | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "h w"]:
    """CAM: `M = Σ_k W_kc A_k`, W being the linear layer that classifies the layer's pooled channels.

    Meant for networks that end in global average pooling and one linear (or 1×1 convolution) layer, probed at the
    layer before the pooling. For a callable target, `W_c` becomes `W ∂target/∂logits`.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(H, W, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        weights: W `(K, classes)`. By default the one parameter of the model that has this shape.
        fuse: evidence `(h, w, K)` -> map `(h, w)`.

    Returns:
        Raw signed map `(h, w)`, in units of the score times the number of positions.

    Raises:
        ValueError: no parameter of the model, or more than one, classifies K channels into the output's classes.

    Source: Zhou et al. 2016, "Learning deep features for discriminative localization", arXiv 1512.04150 [paper].
    """
    output, activation = probe(image)
    slope = jax.grad(lambda logits: _targets.score(logits, target))(output)
    if weights is None:
        weights = _classifier(probe.parameters, activation.shape[-1], output.shape[-1])
    elif weights.shape != (activation.shape[-1], output.shape[-1]):
        raise ValueError(
            f"weights must be (K, classes) = {(activation.shape[-1], output.shape[-1])}; got {weights.shape}"
        )
    channel_weights = widen(weights) @ widen(slope)
    return fuse(channel_weights[None, None, :] * widen(activation))


def _classifier(parameters: Any, channels: int, classes: int) -> Array:
    found = {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(parameters)
        if leaf.shape[-2:] == (channels, classes) and leaf.size == channels * classes
    }
    if len(found) != 1:
        seen = f"{len(found)} do: {', '.join(found)}" if found else "none does"
        raise ValueError(
            f"CAM needs the linear layer that turns this layer's {channels} pooled channels into {classes} classes; "
            f"of the model's parameters {seen}. Pass weights=, probe the layer before the pooling, "
            "or use hirescam or gradcam, which need no such layer."
        )
    return jnp.reshape(next(iter(found.values())), (channels, classes))
