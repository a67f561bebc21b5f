"""Class activation maps as pure JAX functions.

The public names are those of `__init__.pyi`. They load when they are first used, so that `jaxcam --help` does not wait
for JAX.
"""

import lazy_loader

from ._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
