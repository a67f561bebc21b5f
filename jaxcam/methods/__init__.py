"""Every method: a pure function `(probe, image, target, *, ...) -> raw signed map (h, w)` of one image."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._conceptorcam import conceptor_fuse, conceptorcam
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._hirescam import hirescam
from ._scorecam import scorecam

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
        scorecam,
        ablationcam,
        abscam,
        clustercam,
        conceptorcam,
    )
}

__all__ = ["METHODS", "conceptor_fuse", *METHODS]  # pyright: ignore[reportUnsupportedDunderAll]
