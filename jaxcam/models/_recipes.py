"""The preprocessing of published checkpoints, where checkpoints of one network differ in it."""

from ._preprocess import BICUBIC, RESIZE_232, Preprocess
from ._published import entry
from ._registry import find


def _square(size: int) -> Preprocess:
    return Preprocess(resize=size, size=size, interpolation=BICUBIC)


# SWAG: pretrained on hashtags, then either fine-tuned as a whole on larger pictures or given a linear head.
_RECIPES = {
    "IMAGENET1K_V2": RESIZE_232,
    "IMAGENET1K_SWAG_LINEAR_V1": _square(224),
    "IMAGENET1K_SWAG_E2E_V1": _square(384),
}
_OF_ONE = {
    ("efficientnet_b1", "IMAGENET1K_V2"): Preprocess(resize=255, size=240),
    ("vit_l_16", "IMAGENET1K_SWAG_E2E_V1"): _square(512),
    ("vit_h_14", "IMAGENET1K_SWAG_E2E_V1"): _square(518),
}


def recipe(name: str, weights: str | None) -> Preprocess:
    """The preprocessing that `jaxcam.models.preprocess` returns."""
    own = find(name).preprocess
    if weights is None:
        return own
    chosen = entry(name, weights)
    return _OF_ONE.get((name, chosen)) or _RECIPES.get(chosen, own)
