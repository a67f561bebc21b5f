"""Every method that weighs channels, and so can be the base of Conceptor-CAM."""

from ._ablationcam import ablationcam
from ._abscam import abscam
from ._cam import cam
from ._clustercam import clustercam
from ._eigencam import eigencam, eigengradcam
from ._gradcam import gradcam, gradcam_elementwise, gradcampp, layercam, xgradcam
from ._hirescam import hirescam
from ._scorecam import scorecam

BASES = {
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
    )
}
