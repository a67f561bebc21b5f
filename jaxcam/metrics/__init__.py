"""How good a map is: faithfulness by the probability of perturbed pictures, and localisation by boxes.

Every metric returns one value an image, `(B,)`; the mean over images is what papers print. Report a map of ones, a
random one and a centred Gaussian (`floors`) beside every method: the map of ones has no drop at all.

The public names are those of `__init__.pyi`; they load when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
