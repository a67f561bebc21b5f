"""timm's networks by timm's names, of the families that jaxcam builds.

What a name stands for is in table.json, as timm's own functions say it (`tests/models/make_timm.py` prints it). A
checkpoint of timm's has a `config.json` beside it, which names the network and the preprocessing.
"""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from .._architecture import Architecture
from ._families import FAMILIES
from ._features import Features, NotServed

SERVED = "ResNet, ResNeXt, ConvNeXt, ViT, DeiT, Swin, EfficientNet, DenseNet, VGG, RegNet and Inception v3"


@functools.cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """timm's names -> family, image size, number of classes, and the arguments that timm builds the network with."""
    return json.loads(resources.files(__name__).joinpath("table.json").read_text())


def timm_architecture(name: str, arguments: Mapping[str, Any] | None = None) -> Architecture:
    """How to build timm's network of that name.

    Args:
        name: timm's, without a tag.
        arguments: what a `config.json` has under `model_args`; they replace the name's own.

    Raises:
        ValueError: no network of a family that is built here, or one with a feature that is not; it is named.
    """
    if name not in table():
        raise ValueError(f"timm's {name!r} is not served: tags of {SERVED} are")
    row = dict(table()[name])
    family, classes = row.pop("family"), row.pop("classes", 1000)
    features = Features(row | dict(arguments or {}))
    try:
        features.choose("in_chans", 3, {3: 3})
        for training in ("drop_rate", "drop_path_rate", "num_classes"):  # the last is said beside them, too
            features.read(training)
        if family not in ("vit", "swin"):  # these take pictures of any size
            features.read("size")
        if family != "vit":
            features.choose("global_pool", "avg", {"avg": "mean"})
        built = FAMILIES[family](features)
        features.check_all_read()
    except NotServed as missing:
        raise ValueError(f"timm's {name!r} is not served: jaxcam's {family} has no {missing}") from None
    return Architecture(
        model=built.model, options=built.options, layer=built.layer, num_classes=classes, preprocess=None
    )
