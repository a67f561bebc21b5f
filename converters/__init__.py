"""Checkpoints of torch models into jaxcam's, and back: .pth, .safetensors, .npz and orbax folders."""

from typing import TYPE_CHECKING

from jaxcam._lazy import lazy

if TYPE_CHECKING:
    from ._convert import from_torch, to_torch
    from ._fetch import fetch
    from ._files import load, save
    from ._metadata import metadata
    from ._read import read

__all__ = ["fetch", "from_torch", "load", "metadata", "read", "save", "to_torch"]

__getattr__ = lazy(
    __name__,
    {
        "_convert": ("from_torch", "to_torch"),
        "_fetch": ("fetch",),
        "_files": ("load", "save"),
        "_metadata": ("metadata",),
        "_read": ("read",),
    },
)


def __dir__():
    return __all__
