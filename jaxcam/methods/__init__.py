"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (*space)` of one image. And `dff`, a
function of a batch."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._conceptorcam import conceptor_fuse, conceptorcam
from ._dff import Factorization, dff
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groups import BASES
from ._groups import GROUPS as _GROUPS
from ._hirescam import hirescam
from ._scorecam import scorecam
from .attention import attention_relevance, gradeclip, legrad, rollout

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
    "gradcam",
    "gradcam_elementwise",
    "gradcampp",
    "gradeclip",
    "hirescam",
    "layercam",
    "legrad",
    "rollout",
    "scorecam",
    "xgradcam",
]
