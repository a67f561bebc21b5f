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
    """The architecture of that name, or a ValueError with the nearest one."""
    if name in TABLE:
        return TABLE[name]
    raise ValueError(f"{unknown('model', name, TABLE)} (jaxcam.models.names() lists them)")
