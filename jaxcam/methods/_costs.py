"""What each method costs for one image and one class, for `jaxcam methods` and for choosing one."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Whether the model is differentiated, and which passes are run.

    A forward pass is that of the whole model; the head is what follows the probed layer, and K the number of
    that layer's channels.
    """

    gradient: bool
    passes: str


_GRADIENT = Cost(True, "1 forward, 1 backward of the head")
_FORWARD = Cost(False, "1 forward")

COSTS = {
    "cam": _FORWARD,
    "gradcam": _GRADIENT,
    "gradcam_elementwise": _GRADIENT,
    "gradcampp": _GRADIENT,
    "xgradcam": _GRADIENT,
    "layercam": _GRADIENT,
    "hirescam": _GRADIENT,
    "eigencam": _FORWARD,
    "eigengradcam": _GRADIENT,
    "scorecam": Cost(False, "1 + K forward"),
    "ablationcam": Cost(False, "1 forward, K of the head"),
}
