"""The methods by what they need, for the tables of methods and for choosing one."""

import inspect
from collections.abc import Callable

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._compositions import refinecam, smoothgradcampp, zoomcam
from ._eigencam import eigencam, eigengradcam, segeigencam
from ._fem import fem
from ._fullgrad import fullgrad
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._groupcam import groupcam
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
        segeigencam,
        shapleycam,
        liftcam,
        smoothgradcampp,
        refinecam,
        zoomcam,
        fullgrad,
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
        fem,
        kpcacam,
        randomcam,
    ),
    "attention": _named(
        rollout,
        attention_relevance,
        legrad,
        gradeclip,
    ),
    "baselines": _named(
        saliency,
        gradient_times_input,
        integrated_gradients,
        smoothgrad,
        guided_backpropagation,
        guided_gradcam,
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
