"""FullGrad: the gradient at the input and at every bias."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import resize
from .._dtypes import widen
from .._errors import choose
from .._fuse import finite_only
from .._masks import resize_corners
from .._method import of_probe
from ..probes._biases import Bias, Biases, biases_of
from ..probes._probe import Image, Probe
from ..probes._tokens import as_map
from ..targets import _score
from ..targets._score import Target


@of_probe
def fullgrad(
    probe: Probe, image: Image, target: Target = None, *, scale: str = "channel"
) -> Float[Array, "*space"]:
    """FullGrad: `M = Σ_k N(|A_k ⊙ G_k|) + Σ_l Σ_k up(N(|b_lk G_lk|))`, l being every bias that is added after the
    layer: that of a convolution, or of a batch norm, `β - μ γ / sqrt(σ² + ε)`. At `jaxcam.INPUT`, where A is the image,
    it is the paper's.

    The biases are found in the model's program, whatever library it is written in. Without N and the absolute values,
    A ⊙ G and all b ⊙ G add up to the score exactly where the network is piecewise linear (ReLU, maxima, means); where
    it is not (GELU, SiLU, softmax, layer norm), or is bounded (ReLU6 at 6), they do not. A bias that has no place in
    the image, such as a classifier's, is part of that sum but not of the map, and so is a number that is added, and at
    a layer what a shortcut carries past it.

    When: networks of ReLUs: what the biases add to the score is to be seen too.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        scale: what N scales to [0, 1]: "channel", every channel by itself, `(m - min m) / (max m - min m + 1e-7)`,
            and maps are enlarged by half-pixel centres; "tensor", a layer's channels together, with 1e-6, and maps are
            enlarged corner on corner.

    Returns:
        Map `(*space)` of the layer's size, at least 0.

    Raises:
        ValueError: an unknown scale.

    Source: Srinivas & Fleuret 2019, "Full-Gradient Representation", arXiv 1905.00780 [paper]; "channel" as
    pytorch-grad-cam, which leaves out biases of linear layers [third party]; "tensor" as the authors' code.
    """
    _, enlarge = choose("scale", scale, SCALES)
    found, A = full_gradient(probe, image, target)
    G = widen(found.gradient)
    total = _scaled(jnp.abs(A * G), scale)
    for bias in found.biases:
        if (evidence := _placed(bias, found.channels_first, image, probe.anatomy.tokens)) is not None:
            total = total + enlarge(_scaled(jnp.abs(evidence), scale), total.shape).astype(total.dtype)
    return finite_only(total, A, G)


def full_gradient(probe: Probe, image: Image, target: Target) -> tuple[Biases, Array]:
    """The biases after the layer, with the gradient of the score at each, and the layer's activation."""
    _, activation = probe(image)

    def score(activation: Array, image: Array) -> Array:
        return _score.score(probe(image, lambda _: activation)[0], target)

    return biases_of(score, activation, jnp.asarray(image)), widen(activation)


def _placed(bias: Bias, channels_first: bool, image: Any, tokens: int | None) -> Array | None:
    """`b ⊙ G` of a bias `(*space, K)`; None of one that has no place in the image."""
    evidence = widen(bias.value) * widen(bias.gradient)
    space = image.shape[:-1]
    if bias.passes or bias.value.ndim == 0:
        return None
    if channels_first and evidence.ndim == len(space) + 2:
        evidence = jnp.moveaxis(evidence, 1, -1)
    try:
        found, _ = as_map(evidence, space, tokens, "a bias")
    except ValueError:
        return None
    shares = [side / of for side, of in zip(found.shape[1:-1], space, strict=True)]
    return found[0] if max(shares) <= 2 * min(shares) else None  # an axis of heads is not one of the picture


def _scaled(evidence: Array, scale: str) -> Array:
    """The sum over channels of evidence `(*space, K)` that is scaled to [0, 1]."""
    epsilon, _ = SCALES[scale]
    flat = evidence.reshape(-1, evidence.shape[-1] if scale == "channel" else 1)

    def at(places: Array) -> Array:
        # not by jnp.max, whose slope compares values again, and divides by the number of those that equal the largest
        return jnp.take_along_axis(flat, places[None], axis=0)

    low, high = at(jnp.argmin(flat, axis=0)), at(jnp.argmax(flat, axis=0))
    varies = high - low > 8 * jnp.finfo(flat.dtype).eps * high  # more than rounding
    scaled = jnp.where(varies, flat - low, 0) / (high - low + epsilon)
    return jnp.sum(scaled.reshape(evidence.shape), axis=-1)


SCALES = {"channel": (1e-7, resize), "tensor": (1e-6, resize_corners)}
