"""Whole data sets: a source of pictures, a run that explains them into a store, and a report of the maps.

The public names are those of `__init__.pyi`; they load when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
