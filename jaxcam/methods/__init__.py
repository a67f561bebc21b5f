"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (*space)` of one image. And `dff`, a
function of a batch."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._compositions import refinecam, smoothgradcampp, zoomcam
from ._conceptorcam import conceptor_fuse, conceptorcam
from ._dff import Factorization, dff
from ._eigencam import eigencam, eigengradcam, segeigencam
from ._fem import fem
from ._fullgrad import fullgrad
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groupcam import groupcam
from ._groups import BASES
from ._groups import GROUPS as _GROUPS
from ._hirescam import hirescam
from ._kpcacam import kpcacam
from ._liftcam import liftcam
from ._opticam import opticam
from ._polycam import polycam
from ._randomcam import randomcam
from ._reciprocam import reciprocam
from ._scorecam import scorecam
from ._shapleycam import shapleycam
from ._sscam import iscam, sscam
from .attention import attention_relevance, gradeclip, legrad, rollout
from .baselines import (
    gradient_times_input,
    guided_backpropagation,
    guided_gradcam,
    integrated_gradients,
    occlusion,
    rise,
    saliency,
    smoothgrad,
)

GROUPS = _GROUPS | {"of a base method": {"conceptorcam": conceptorcam}}
METHODS = {name: method for group in GROUPS.values() for name, method in group.items()}

__all__ = [
    "BASES",
    "GROUPS",
    "METHODS",
    "Factorization",
    "ablationcam",
    "abscam",
    "attention_relevance",
    "cam",
    "clustercam",
    "conceptor_fuse",
    "conceptorcam",
    "dff",
    "eigencam",
    "eigengradcam",
    "fem",
    "fullgrad",
    "gradcam",
    "gradcam_elementwise",
    "gradcampp",
    "gradeclip",
    "gradient_times_input",
    "groupcam",
    "guided_backpropagation",
    "guided_gradcam",
    "hirescam",
    "integrated_gradients",
    "iscam",
    "kpcacam",
    "layercam",
    "legrad",
    "liftcam",
    "occlusion",
    "opticam",
    "polycam",
    "randomcam",
    "reciprocam",
    "refinecam",
    "rise",
    "rollout",
    "saliency",
    "scorecam",
    "segeigencam",
    "shapleycam",
    "smoothgrad",
    "smoothgradcampp",
    "sscam",
    "xgradcam",
    "zoomcam",
]
