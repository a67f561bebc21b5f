"""How a probe splits a model at a layer: a submodule by its path, or two functions with the layer between them."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Protocol, runtime_checkable

from jaxtyping import Array, PyTree

from ._marks import Rest
from ._tokens import as_map


@runtime_checkable
class Anatomy(Hashable, Protocol):
    """The static half of a probe: a model as two parts, with its layer between them."""

    @property
    def who(self) -> str:
        """The layer in words, for errors."""
        ...

    def split_at(self, parameters: PyTree, images: Array) -> tuple[Array, Rest]:
        """Batch of one image -> the layer's activation as a map `(1, h, w, K)`, and the function of such a map, changed
        or not, that runs what follows the layer and returns the model's output."""
        ...


@dataclasses.dataclass(frozen=True)
class Split:
    """Two functions, given as the probe's parameters."""

    tokens: int | None = None
    who = "features"

    def split_at(self, parameters: tuple[Callable, Callable], images: Array) -> tuple[Array, Rest]:
        features, head = parameters
        activation, restore = as_map(features(images), images.shape[1:-1], self.tokens, self.who)
        return activation, lambda changed: head(restore(changed))
