"""The maps of several layers as one map."""

import jax.numpy as jnp
from jaxtyping import Array

from .._display import display, resize
from .._errors import choose
from .._method import Method
from ..probes._looked import Looked, of_layer
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._transformed import Transformed, check_method


def _scaled_first(raw: Array, size: tuple[int, ...]) -> Array:
    return resize(display(raw, rank=len(size)), size)


def _scaled_last(raw: Array, size: tuple[int, ...]) -> Array:
    return display(raw, size=size)


# Each with what stands for N and up: as those from whom they are do it.
COMBINE = {
    "mean": (jnp.mean, _scaled_first),
    "max": (jnp.max, _scaled_first),
    "product": (jnp.prod, _scaled_last),
}


def over_layers(method: Method, combine: str = "mean") -> Transformed:
    """A method of a probe of several layers: `M = combine_l up(N(relu(M_l)))`; for the product, `N(up(relu(M_l)))`.

    The activations and gradients of all layers come from one forward and one backward pass, which costs as much as
    that of the first layer. Layer-CAM and Grad-CAM++ are the methods that are sharp at early layers.

    Args:
        method: any method; the result has its signature and its options.
        combine: "mean"; "max", as Zoom-CAM with `hirescam`; "product", as RefineCAM with `gradcampp`.

    Returns maps in [0, 1], at the input's size.

    Raises:
        ValueError: an unknown way to combine.
        TypeError: a method that is not a function.

    Source: "mean": pytorch-grad-cam with several target layers [third party]; "max": Shi et al. 2020, "Zoom-CAM", arXiv
    2010.08644 [paper], and TorchCAM's `fuse_cams` but for Layer-CAM [third party]; "product": pytorch-grad-cam's
    RefineCAM [third party].

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), ("layer1", "layer2", "layer3"))
        >>> refinecam = jaxcam.over_layers(jaxcam.gradcampp, "product")
        >>> images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
        >>> jaxcam.explain(probe, images, 3, method=refinecam).shape
        (2, 32, 32)
    """
    check_method("over_layers", method)
    choose("combine", combine, COMBINE)
    return Transformed(method, _over_layers, (("combine", combine),))


def _over_layers(
    method: Method, probe: Probe, image: Image, target: Target, *, combine: str = "mean"
) -> Array:
    picture = jnp.asarray(image)
    look = probe.look(picture, target)
    looks = {each: of_layer(look, each) if len(probe.layers) > 1 else look for each in probe.layers}
    raw = [
        method(Looked(probe[layer], picture, target, each), picture, target) for layer, each in looks.items()
    ]
    fused, shown = COMBINE[combine]
    return fused(jnp.stack([shown(each, picture.shape[:-1]) for each in raw]), axis=0)
