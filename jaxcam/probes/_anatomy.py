"""How a probe finds its layers in a model: submodules by path, taps, or two functions with the layer between them."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, PyTree

from ._layers import Layer
from ._marks import varying
from ._walk import Inputs, Steps, Walk


@runtime_checkable
class Anatomy(Hashable, Protocol):
    """The static half of a probe: a model, and the layers in it."""

    @property
    def layers(self) -> tuple[Layer, ...]: ...

    @property
    def tokens(self) -> int | None:
        """Number of leading non-spatial tokens, where a layer returns tokens."""
        ...

    def only(self, layer: Layer) -> "Anatomy":
        """The same model with one of its layers."""
        ...

    def walk(self, parameters: PyTree, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        """Runs the model on a batch of one image; stops at each layer, for another activation to go on with.

        `axes`: of a mesh, along which the layers' activations vary once they are changed.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Split:
    """Two functions, given as the probe's parameters."""

    tokens: int | None = None
    layers = (Layer("features", "features", kind=""),)

    def __repr__(self) -> str:
        return "features"

    def only(self, layer: Layer) -> "Split":
        return self

    def walk(
        self, parameters: tuple[Callable, Callable], inputs: Inputs, images: Array, axes: frozenset[str]
    ) -> Walk:
        features, head = parameters
        activation = features(images)
        if missing := axes - varying(activation):
            activation = jax.lax.pcast(activation, tuple(sorted(missing)), to="varying")

        def steps() -> Steps:
            return head((yield self.layers[0], activation))

        return Walk({}, steps())
