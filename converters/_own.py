"""What a checkpoint says of itself: timm's config.json has the network and the preprocessing."""

import inspect
import os
from dataclasses import replace
from pathlib import Path

from jaxcam import models
from jaxcam.models._architecture import Architecture
from jaxcam.models._preprocess import Preprocess
from jaxcam.models._registry import find

from ._fetch import Checkpoint, fetch
from ._metadata import config_of

_APART = {
    "rate",
    "norm",
    "epsilon",
    "image_size",
    "transformed",
}  # what networks of the same arrays may differ in


def preprocess(name: str, weights: str | os.PathLike[str] | Checkpoint) -> Preprocess:
    """The preprocessing of a checkpoint: its entry's, or its `config.json`'s, or its architecture's.

    Of a tag of timm's it is what `timm.data.create_transform` makes of its configuration for evaluation: mean,
    deviation, crop and interpolation are the tag's own. It is kept when the checkpoint is converted (not in an .npz).

    Args:
        name: as in `load`.
        weights: as in `fetch`, which downloads it unless it is here; or what `fetch` returned.

    Raises:
        ValueError: no such architecture or entry, or a preprocessing that is not served; the message names it.
        ConnectionError, OSError, ImportError: as `fetch`.
    """
    checkpoint = weights if isinstance(weights, Checkpoint) else fetch(name, weights)
    if checkpoint.entry is not None:
        return models.preprocess(name, weights=checkpoint.entry)
    if (config := config_of(checkpoint.path)) is not None:
        return config.preprocess()
    return models.preprocess(name)


def architecture_of(name: str, path: Path) -> Architecture:
    """How to build the network that a checkpoint is of: as its `config.json` says, else by the name.

    Raises ValueError where the two are not the same network, and for one of timm's that is not built here.
    """
    config = config_of(path)
    if config is None:
        return find(name)
    theirs = config.architecture()
    if config.classes is not None:
        theirs = replace(theirs, num_classes=config.classes)
    if name != config.name and not _alike(find(name), theirs):
        raise ValueError(f"{path} as {name}: its config.json says that it is of timm's {config.name}")
    return theirs


def _alike(ours: Architecture, theirs: Architecture) -> bool:
    """Whether a network of torchvision's is the one that timm has under another name."""
    return ours.model is theirs.model and _structure(ours) == _structure(theirs)


def _structure(architecture: Architecture) -> dict[str, object]:
    """All options of a network that its arrays follow from, the defaults too."""
    parameters = inspect.signature(architecture.model.__init__).parameters.values()
    usual = {each.name: each.default for each in parameters}
    return {key: value for key, value in (usual | dict(architecture.options)).items() if key not in _APART}
