"""One row of the table of architectures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flax import nnx

from ._preprocess import IMAGENET, Preprocess


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How to build a model, which layer to explain, and the preprocessing of its checkpoint.

    Attributes:
        model: called as `model(num_classes=, dtype=, param_dtype=, rngs=, **options)`.
        options: what sets this member of the family apart.
        layer: the default layer for class activation maps.
        num_classes: outputs of the published checkpoint.
        preprocess: resizing and normalisation of the published checkpoint; None where each has its own (timm's).
    """

    model: Callable[..., nnx.Module]
    options: Mapping[str, Any] = field(default_factory=dict)
    layer: str
    num_classes: int = 1000
    preprocess: Preprocess | None = IMAGENET
