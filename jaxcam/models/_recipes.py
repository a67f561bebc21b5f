"""The preprocessing of published checkpoints, where checkpoints of one network differ in it."""

from dataclasses import replace

from ._preprocess import RESIZE_232, SWAG_E2E, SWAG_LINEAR, Preprocess
from ._published import entry
from ._registry import find

_RECIPES = {
    "IMAGENET1K_V2": RESIZE_232,
    "IMAGENET1K_SWAG_LINEAR_V1": SWAG_LINEAR,
    "IMAGENET1K_SWAG_E2E_V1": SWAG_E2E,
}
_OF_ONE = {
    ("efficientnet_b1", "IMAGENET1K_V2"): Preprocess(resize=255, size=240),
    ("vit_l_16", "IMAGENET1K_SWAG_E2E_V1"): replace(SWAG_E2E, resize=512, size=512),
    ("vit_h_14", "IMAGENET1K_SWAG_E2E_V1"): replace(SWAG_E2E, resize=518, size=518),
}


def recipe(name: str, weights: str | None) -> Preprocess:
    """The preprocessing that `jaxcam.models.preprocess` returns."""
    own = find(name).preprocess
    if own is None:
        raise ValueError(
            f"{name} is a network of timm's, and each of its checkpoints has a preprocessing of its own, in its "
            "config.json: converters.preprocess(name, checkpoint)"
        )
    if weights is None:
        return own
    chosen = entry(name, weights)
    return _OF_ONE.get((name, chosen)) or _RECIPES.get(chosen, own)
