"""`tap` marks an activation inside any JAX function; a probe finds the mark in the function's program."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Jaxpr
from jaxtyping import Array, PyTree

from .._errors import unknown
from ._layers import INPUT, Layer, input_layer, parsed
from ._marks import mark
from ._walk import Inputs, Walk, walk


def tap(activation: Array, name: str, *, channels: int = -1) -> Array:
    """The activation itself, marked for `jaxcam.probe(function, name)`. Outside a probe it does nothing.

    Args:
        activation: `(B, h, w, K)`, or tokens `(B, tokens, K)`. In a function that `jax.vmap` maps over images, the
            activation of one image.
        name: what a probe calls it. Where the program passes it several times, or inside a scan, `"name[3]"` is the
            fourth time.
        channels: the axis K, where it is not the last: 0 for `(K, h, w)`, as in Equinox.

    Raises:
        TypeError: something that is not an array, a name that is not a string.

    Example:
        >>> import jax, jaxcam
        >>> def logits(weights, images):
        ...     activation = jaxcam.tap(jax.nn.relu(images @ weights["pixels"]), "pixels")
        ...     return activation.mean(axis=(1, 2)) @ weights["classes"]
        >>> weights = {"pixels": jax.numpy.ones((3, 8)), "classes": jax.numpy.ones((8, 10))}
        >>> jaxcam.gradcam(jaxcam.probe(logits, "pixels", variables=weights), jax.numpy.ones((4, 5, 3)), 7).shape
        (4, 5)
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a tap is a string; got {name!r}")
    if not hasattr(activation, "ndim"):
        raise TypeError(f"tap {name!r} marks an array; got {type(activation).__name__}")
    return jnp.moveaxis(mark(jnp.moveaxis(activation, channels, -1), name), -1, channels)


@dataclasses.dataclass(frozen=True)
class Tapped:
    """A function with taps. The probe's parameters are the function, and its variables if it has any."""

    layers: tuple[Layer, ...]
    call: tuple[tuple[str, Any], ...] = ()
    tokens: int | None = None

    def __repr__(self) -> str:
        return ", ".join(layer.label for layer in self.layers)

    def program(self, parameters: tuple, inputs: Inputs, images: Array) -> tuple[Any, dict]:
        function, *variables = parameters
        positional, named = inputs
        return function(*variables, images, *positional, **named, **dict(self.call)), {}

    def check(self, program: Jaxpr, parameters: PyTree, after: dict) -> None:
        pass

    def missing(self, parameters: tuple, layer: Layer, names: list) -> str:
        if names := [each for each in names if each != INPUT]:
            return unknown("tap", layer.label, names)
        name = layer.name
        return f"no tap {name!r}: the function marks no activation with jaxcam.tap(activation, {name!r})"

    def only(self, layer: Layer) -> "Tapped":
        return dataclasses.replace(self, layers=(layer,))

    def walk(self, parameters: tuple, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)


def tap_layer(label: str) -> Layer:
    """The layer at a tap; `"block[1]"` is the second time that the tap "block" is passed."""
    if label == INPUT:
        return input_layer()
    name, call, _ = parsed(label) if ":" not in label else (label, None, None)
    return Layer(label, name, call, kind="tap")
