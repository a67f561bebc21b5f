"""Checkpoints of torch models into jaxcam's, and back: .pth, .safetensors, .npz and orbax folders."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._convert import from_torch, to_torch
    from ._fetch import fetch
    from ._files import load, save
    from ._metadata import metadata
    from ._read import read

__all__ = ["fetch", "from_torch", "load", "metadata", "read", "save", "to_torch"]

# Names load when they are first used, so that the command line does not wait for JAX.
_HOMES = {
    "from_torch": "_convert",
    "to_torch": "_convert",
    "fetch": "_fetch",
    "load": "_files",
    "save": "_files",
    "metadata": "_metadata",
    "read": "_read",
}


def __getattr__(name: str):
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'converters' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
