"""Class activation maps as pure JAX functions."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Names load when they are first used, so that `jaxcam --help` does not wait for JAX.
_HOMES = {
    "_anatomy": ("layers",),
    "_probe": ("Look", "Probe", "probe"),
    "_targets": ("difference", "probability", "segmentation", "similarity", "top"),
    "_fuse": ("channel_sum", "principal_component"),
    "_display": ("display", "normalise", "overlay", "resize"),
    "_explain": ("explain",),
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
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from . import conceptor, datasets, demo, methods, metrics, models
    from ._anatomy import layers
    from ._display import display, normalise, overlay, resize
    from ._explain import explain
    from ._fuse import channel_sum, principal_component
    from ._kmeans import elbow, kmeans
    from ._probe import Look, Probe, probe
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


def __getattr__(name: str):
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxcam' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
