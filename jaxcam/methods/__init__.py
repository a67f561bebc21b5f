"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (h, w)` of one image."""

from ._cam import cam
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._hirescam import hirescam

METHODS = {
    method.__name__: method
    for method in (
        cam,
        gradcam,
        gradcam_elementwise,
        gradcampp,
        xgradcam,
        layercam,
        hirescam,
        eigencam,
        eigengradcam,
    )
}

__all__ = ["METHODS", *METHODS]
