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

COMBINE = {"mean": jnp.mean, "max": jnp.max, "product": jnp.prod}


def over_layers(method: Method, combine: str = "mean") -> Transformed:
    """A method of a probe of several layers: `M = combine_l up(N(relu(M_l)))`; with "product",
    `M = Π_l N(up(relu(M_l)))`.

    The activations and gradients of all layers come from one forward and one backward pass, which costs as much as
    that of the first layer. Layer-CAM and Grad-CAM++ are the methods that are sharp at early layers.

    When: fine and coarse layers should both count, at the cost of one.

    Args:
        method: any method; the result has its signature and its options.
        combine: "mean"; "max", as Zoom-CAM with `hirescam`; "product", as RefineCAM with `gradcampp`.

    Returns maps in [0, 1], at the input's size.

    Raises:
        ValueError: an unknown way to combine.
        TypeError: a method that is not a function.

    Source: "mean": pytorch-grad-cam with several target layers [third party]; "max": Shi et al. 2020, "Zoom-CAM", arXiv
    2010.08644 [paper]; "product": pytorch-grad-cam's RefineCAM [third party]. They scale maps at the layer's size, the
    product's at the input's.

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
    size = picture.shape[:-1]
    if combine == "product":
        shown = [display(each, size=size) for each in raw]
    else:
        shown = [resize(display(each, rank=len(size)), size) for each in raw]
    return COMBINE[combine](jnp.stack(shown), axis=0)
