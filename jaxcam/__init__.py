"""Class activation maps as pure JAX functions."""

from itertools import chain
from typing import TYPE_CHECKING

from ._lazy import lazy

__version__ = "0.1.0"

# Names load when they are first used, so that `jaxcam --help` does not wait for JAX.
_HOMES = {
    "_blank": ("MapWarning",),
    "_nnx": ("layers",),
    "_probe": ("Look", "Probe", "probe"),
    "_tap": ("tap",),
    "_targets": ("difference", "probability", "segmentation", "similarity", "top"),
    "_fuse": ("channel_sum", "principal_component"),
    "_display": ("display", "normalise", "overlay", "resize"),
    "_explain": ("explain",),
    "_export": ("export",),
    "_restore": ("Explainer", "restore"),
    "_kmeans": ("elbow", "kmeans"),
    "methods": (
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
        "hirescam",
        "layercam",
        "scorecam",
        "xgradcam",
    ),
}
_MODULES = ("conceptor", "datasets", "demo", "methods", "metrics", "models")

__all__ = sorted([*chain(*_HOMES.values()), *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from . import conceptor, datasets, demo, methods, metrics, models
    from ._blank import MapWarning
    from ._display import display, normalise, overlay, resize
    from ._explain import explain
    from ._export import export
    from ._fuse import channel_sum, principal_component
    from ._kmeans import elbow, kmeans
    from ._nnx import layers
    from ._probe import Look, Probe, probe
    from ._restore import Explainer, restore
    from ._tap import tap
    from ._targets import difference, probability, segmentation, similarity, top
    from .methods import (
        METHODS,
        ablationcam,
        abscam,
        cam,
        clustercam,
        conceptor_fuse,
        conceptorcam,
        eigencam,
        eigengradcam,
        gradcam,
        gradcam_elementwise,
        gradcampp,
        hirescam,
        layercam,
        scorecam,
        xgradcam,
    )


__getattr__ = lazy(__name__, _HOMES, _MODULES)


def __dir__():
    return __all__
