"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (*space)` of one image."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._conceptorcam import conceptor_fuse, conceptorcam
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groupcam import groupcam
from ._groups import BASES
from ._groups import GROUPS as _GROUPS
from ._hirescam import hirescam
from ._opticam import opticam
from ._polycam import polycam
from ._randomcam import randomcam
from ._reciprocam import reciprocam
from ._scorecam import scorecam
from ._sscam import iscam, sscam
from .baselines import occlusion, rise

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
    "gradcam",
    "gradcam_elementwise",
    "gradcampp",
    "groupcam",
    "hirescam",
    "iscam",
    "layercam",
    "occlusion",
    "opticam",
    "polycam",
    "randomcam",
    "reciprocam",
    "rise",
    "scorecam",
    "sscam",
    "xgradcam",
]
