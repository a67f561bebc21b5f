"""The table of architectures, and looking a name up in it."""

from .._errors import unknown
from . import (
    alexnet,
    cifar_resnet,
    convnext,
    efficientnet,
    mobilenet,
    mobilenetv3,
    regnet,
    resnet,
    squeezenet,
    vgg,
)
from ._architecture import Architecture

FAMILIES = (
    alexnet,
    vgg,
    resnet,
    squeezenet,
    mobilenet,
    mobilenetv3,
    efficientnet,
    regnet,
    convnext,
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
