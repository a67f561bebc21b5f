"""Class activation maps as pure JAX functions.

The public names are those of `__init__.pyi`. They load when they are first used, so that `jaxcam --help` does not wait
for JAX.
"""

import lazy_loader

from ._version import __version__ as __version__

_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
# a package beside this one, which the loader cannot name
__all__ = [*__all__, "converters"]  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__():
    return list(__all__)


def __getattr__(name: str):
    if name != "converters":
        return _load(name)
    import converters

    return converters
