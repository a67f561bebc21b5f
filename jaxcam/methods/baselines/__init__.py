"""Maps that papers set beside class activation maps, with the input as the layer, or any other."""

from ._occlusion import occlusion as occlusion
from ._rise import rise as rise
