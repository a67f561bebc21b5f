"""What each method costs for one image and one class, for `jaxcam methods` and for choosing one."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Whether the model is differentiated, and how often it runs.

    Attributes:
        gradient: adds one backward pass of the head, which is what follows the probed layer.
        forward: forward passes of the whole model, and of the head alone; K is the layer's number of channels.
    """

    gradient: bool
    forward: str


COSTS = {
    "gradcam": Cost(True, "1"),
    "gradcam_elementwise": Cost(True, "1"),
    "gradcampp": Cost(True, "1"),
    "xgradcam": Cost(True, "1"),
    "layercam": Cost(True, "1"),
    "hirescam": Cost(True, "1"),
    "eigengradcam": Cost(True, "1"),
    "scorecam": Cost(False, "1 + K"),
    "abscam": Cost(True, "1 + K"),
    "clustercam": Cost(False, "1 + clusters"),
    "cam": Cost(False, "1"),
    "ablationcam": Cost(False, "1 + K heads"),
    "eigencam": Cost(False, "1"),
    "rollout": Cost(False, "1"),
    "attention_relevance": Cost(True, "1"),  # from the first block's attention on, not from the layer
    "legrad": Cost(True, "1"),  # the same, and the head once more for each block
    "gradeclip": Cost(True, "1"),  # from the last block's attention on
    "conceptorcam": Cost(True, "1"),  # over its default base; otherwise what the base costs
}
