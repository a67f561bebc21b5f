"""What each method costs for one image and one class, for `jaxcam methods` and for choosing one."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Whether the model is differentiated, and how often it runs.

    Attributes:
        gradient: adds one backward pass of the head, which is what follows the probed layer.
        forward: forward passes of the whole model, and of the head alone; K is the layer's number of channels, P its
            number of positions.
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
    "segeigencam": Cost(True, "1"),
    "shapleycam": Cost(True, "1 + 1 head"),  # and its backward pass once more
    "liftcam": Cost(True, "1 + 2 heads"),
    "smoothgradcampp": Cost(True, "1 + 4"),
    "refinecam": Cost(True, "1"),
    "zoomcam": Cost(True, "1"),
    "fullgrad": Cost(True, "1"),
    "scorecam": Cost(False, "1 + K"),
    "sscam": Cost(False, "1 + 35 K"),
    "iscam": Cost(False, "1 + 10 K"),
    "abscam": Cost(True, "1 + K"),
    "clustercam": Cost(False, "1 + clusters"),
    "groupcam": Cost(True, "2 + groups"),
    "opticam": Cost(True, "1 + 50"),
    "polycam": Cost(False, "1 + K a layer"),
    "cam": Cost(False, "1"),
    "ablationcam": Cost(False, "1 + K heads"),
    "reciprocam": Cost(False, "1 + P heads"),
    "eigencam": Cost(False, "1"),
    "fem": Cost(False, "1"),
    "kpcacam": Cost(False, "1"),
    "randomcam": Cost(False, "1"),
    "rollout": Cost(False, "1"),
    "attention_relevance": Cost(True, "1"),  # from the first block's attention on, not from the layer
    "legrad": Cost(True, "1"),  # the same, and the head once more for each block
    "gradeclip": Cost(True, "1"),  # from the last block's attention on
    "saliency": Cost(True, "1"),
    "gradient_times_input": Cost(True, "1"),
    "integrated_gradients": Cost(True, "52"),
    "smoothgrad": Cost(True, "25"),
    "guided_backpropagation": Cost(True, "1"),
    "guided_gradcam": Cost(True, "1"),
    "occlusion": Cost(False, "1 + windows"),
    "rise": Cost(False, "1 + 6000 heads"),
    "conceptorcam": Cost(True, "1"),  # over its default base; otherwise what the base costs
}

# Of a transform: how often the method runs, but for what its runs share.
TRANSFORM_COSTS = {
    "smoothed": "samples times",
    "augmented": "views times",
    "over_layers": "once",
    "integrated": "steps times",
}
