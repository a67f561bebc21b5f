"""The table of architectures, and looking a name up in it."""

from .._errors import unknown
from . import alexnet, cifar_resnet, maxvit, mobilenet, resnet, squeezenet, swin, swin_v2, vgg, vit
from ._architecture import Architecture

FAMILIES = (alexnet, vgg, resnet, squeezenet, mobilenet, vit, swin, swin_v2, maxvit, cifar_resnet)
TABLE: dict[str, Architecture] = {
    name: architecture for family in FAMILIES for name, architecture in family.ARCHITECTURES.items()
}


def find(name: str) -> Architecture:
    """The architecture of that name, or a ValueError with the nearest one."""
    if name in TABLE:
        return TABLE[name]
    raise ValueError(f"{unknown('model', name, TABLE)} (jaxcam.models.names() lists them)")
