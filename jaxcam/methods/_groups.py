"""The methods by what they need, for the tables of methods and for choosing one."""

import inspect
from collections.abc import Callable

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groupcam import groupcam
from ._hirescam import hirescam
from ._opticam import opticam
from ._polycam import polycam
from ._randomcam import randomcam
from ._reciprocam import reciprocam
from ._scorecam import scorecam
from ._sscam import iscam, sscam
from .baselines import occlusion, rise


def _named(*methods: Callable) -> dict[str, Callable]:
    return {method.__name__: method for method in methods}


# All but Conceptor-CAM, which is made of one of them.
GROUPS: dict[str, dict[str, Callable]] = {
    "gradient": _named(
        gradcam,
        gradcam_elementwise,
        gradcampp,
        xgradcam,
        layercam,
        hirescam,
        eigengradcam,
    ),
    "masks": _named(
        scorecam,
        sscam,
        iscam,
        abscam,
        clustercam,
        groupcam,
        opticam,
        polycam,
    ),
    "heads only": _named(
        cam,
        ablationcam,
        reciprocam,
    ),
    "no class": _named(
        eigencam,
        randomcam,
    ),
    "baselines": _named(
        occlusion,
        rise,
    ),
}

# Those that weigh channels, and so can be the base of Conceptor-CAM.
BASES = {
    name: method
    for group in GROUPS.values()
    for name, method in group.items()
    if "fuse" in inspect.signature(method).parameters
}
