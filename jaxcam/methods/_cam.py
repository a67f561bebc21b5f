"""CAM, the original method: channels are weighted by the classification layer's weights, without a gradient."""

from collections.abc import Callable

import jax
from jax.extend.core import Literal
from jaxtyping import Array, Float

from .._dtypes import dot, widen
from .._fuse import Fuse, channel_sum, weigh
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets import _score
from ..targets._score import Target


@of_probe
def cam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    weights: Float[Array, "K classes"] | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """CAM: `M = Σ_k W_kc A_k`, W being the linear layer that classifies the layer's pooled channels.

    Meant for networks that end in global average pooling and one linear (or 1×1 convolution) layer, probed at the
    layer before the pooling. For a callable target, `W_c` becomes `W ∂target/∂logits`.

    When: the network ends with global pooling and one linear layer: its weights, no gradient.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        weights: W `(K, classes)`. By default the kernel of the one linear layer that follows the probed layer,
            which may also lie as `(classes, K)`; where the two numbers are equal it is taken as `(K, classes)`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score times the number of positions.

    Raises:
        ValueError: more than one linear layer, or none, between the layer and the logits.

    Source: Zhou et al. 2016, "Learning deep features for discriminative localization", arXiv 1512.04150 [paper].
    """
    output, activation = probe(image)
    if getattr(output, "ndim", None) != 1:
        kind = f"of shape {output.shape}" if hasattr(output, "shape") else f"a {type(output).__name__}"
        raise ValueError(
            f"CAM needs logits (classes,), which one linear layer gives, and the output is {kind}: use hirescam or "
            "gradcam with a callable target"
        )
    slope = jax.grad(lambda logits: _score.score(logits, target))(output)
    if weights is None:
        weights = _classifier(probe, image, activation, output.shape[-1])
    elif weights.shape != (activation.shape[-1], output.shape[-1]):
        raise ValueError(
            f"weights must be (K, classes) = {(activation.shape[-1], output.shape[-1])}; got {weights.shape}"
        )
    channel_weights = dot(widen(weights), widen(slope))
    return fuse(weigh(channel_weights, widen(activation)))


def _classifier(probe: Probe, image: Image, activation: Array, classes: int) -> Array:
    """The one kernel `(K, classes)` between the layer and the logits, with nothing else there but a bias."""
    channels = activation.shape[-1]
    leaves = jax.tree_util.tree_leaves_with_path(probe.parameters)
    after = _used(lambda probe, a: probe(image, lambda _: a)[0], probe, activation)
    found = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for (path, leaf), used in zip(leaves, after, strict=False)
        if used
    }
    shapes = {name: leaf.shape for name, leaf in found.items()}
    kernels = [name for name, shape in shapes.items() if shape[-2:] == (channels, classes)]
    if not kernels:  # as Equinox lays it out
        kernels = [name for name, shape in shapes.items() if shape == (classes, channels)]
    others = [name for name, shape in shapes.items() if name not in kernels and shape != (classes,)]
    if len(kernels) != 1 or found[kernels[0]].size != channels * classes or others:
        few = ", ".join([*list(found)[:6], *["..."] * (len(found) > 6)])
        seen = f"here {few} lie between" if found else "here no parameter lies between"
        raise ValueError(
            f"CAM needs one linear layer, and none but that, between this layer's {channels} channels and the "
            f"{classes} classes; {seen}. Pass weights=, probe the layer before the pooling, or use hirescam or "
            "gradcam, which need no such layer."
        )
    kernel = found[kernels[0]]
    return kernel.reshape(channels, classes) if kernel.shape[-1] == classes else kernel.T


def _used(function: Callable, probe: Probe, activation: Array) -> list[bool]:
    """Which of the probe's leaves, parameters first, the output depends on once the layer's activation is given."""
    program = jax.make_jaxpr(function)(probe, activation).jaxpr
    needed = {variable for variable in program.outvars if not isinstance(variable, Literal)}
    for equation in reversed(program.eqns):
        if needed.intersection(equation.outvars):
            needed.update(each for each in equation.invars if not isinstance(each, Literal))
    return [variable in needed for variable in program.invars[:-1]]
