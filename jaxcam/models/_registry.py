"""The table of architectures, and looking a name up in it."""

from .._errors import unknown
from . import (
    alexnet,
    cifar_resnet,
    convnext,
    densenet,
    efficientnet,
    googlenet,
    inception,
    maxvit,
    mnasnet,
    mobilenet,
    mobilenetv3,
    regnet,
    resnet,
    shufflenet,
    squeezenet,
    swin,
    swin_v2,
    vgg,
    vit,
)
from ._architecture import Architecture
from ._timm import table, timm_architecture

FAMILIES = (
    alexnet,
    vgg,
    googlenet,
    inception,
    resnet,
    densenet,
    squeezenet,
    mobilenet,
    mobilenetv3,
    mnasnet,
    shufflenet,
    efficientnet,
    regnet,
    convnext,
    vit,
    swin,
    swin_v2,
    maxvit,
    cifar_resnet,
)
TABLE: dict[str, Architecture] = {
    name: architecture for family in FAMILIES for name, architecture in family.ARCHITECTURES.items()
}


def find(name: str) -> Architecture:
    """The architecture of that name: torchvision's, or timm's.

    Raises ValueError for no name, with the nearest one, and for a network of timm's that is not built here.
    """
    if name in TABLE:
        return TABLE[name]
    if name in table():
        return timm_architecture(name)
    raise ValueError(f"{unknown('model', name, TABLE)} (jaxcam.models.names() lists them)")
