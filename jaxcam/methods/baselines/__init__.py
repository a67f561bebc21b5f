"""What papers set beside class activation maps: methods of the input, at `jaxcam.INPUT`, or of any other layer."""

from ._gradients import gradient_times_input, guided_backpropagation, saliency
from ._guided_gradcam import guided_gradcam
from ._occlusion import occlusion
from ._paths import integrated_gradients, smoothgrad
from ._rise import rise

__all__ = [
    "gradient_times_input",
    "guided_backpropagation",
    "guided_gradcam",
    "integrated_gradients",
    "occlusion",
    "rise",
    "saliency",
    "smoothgrad",
]
