"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (*space)` of one image."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._conceptorcam import conceptor_fuse, conceptorcam
from ._eigencam import eigencam, eigengradcam
from ._fullgrad import fullgrad
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groups import BASES
from ._groups import GROUPS as _GROUPS
from ._hirescam import hirescam
from ._scorecam import scorecam
from .baselines import (
    gradient_times_input,
    guided_backpropagation,
    guided_gradcam,
    integrated_gradients,
    saliency,
    smoothgrad,
)

GROUPS = _GROUPS | {"of a base method": {"conceptorcam": conceptorcam}}
METHODS = {name: method for group in GROUPS.values() for name, method in group.items()}

__all__ = [
    "BASES",
    "GROUPS",
    "METHODS",
    "ablationcam",
    "abscam",
    "cam",
    "clustercam",
    "conceptor_fuse",
    "conceptorcam",
    "eigencam",
    "eigengradcam",
    "fullgrad",
    "gradcam",
    "gradcam_elementwise",
    "gradcampp",
    "gradient_times_input",
    "guided_backpropagation",
    "guided_gradcam",
    "hirescam",
    "integrated_gradients",
    "layercam",
    "saliency",
    "scorecam",
    "smoothgrad",
    "xgradcam",
]
