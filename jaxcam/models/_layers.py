"""Layers that several families share. All are NHWC and take a batch."""

from collections.abc import Iterable
from typing import Any

from flax import nnx


class Sequential(nnx.List):
    """Modules (or plain functions) called one after another, addressed by number: `features.3`."""

    def __call__(self, x):
        for layer in self:
            x = layer(x)
        return x


class Linear(nnx.Linear):
    """A fully connected layer whose input may be a flattened feature map.

    `flattened` is the map's `(height, width, channels)` before it was flattened, or None. torch flattens
    channels first, these models flatten channels last; a converter reads `flattened` to permute the rows once.
    """

    def __init__(self, inputs: int, outputs: int, *, flattened: tuple[int, int, int] | None = None, **options: Any):
        super().__init__(inputs, outputs, **options)
        self.flattened = flattened
