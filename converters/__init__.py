"""Checkpoints of torch models into jaxcam's, and back: .pth, .safetensors, .npz and orbax folders.

The public names are those of `__init__.pyi`; they load when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
