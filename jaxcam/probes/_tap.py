"""`tap` marks an activation inside any JAX function; a probe finds the mark in the function's program."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Jaxpr
from jaxtyping import Array, PyTree

from .._errors import unknown
from ._marks import Rest, mark, split_at_mark


def tap(activation: Array, name: str, *, channels: int = -1) -> Array:
    """The activation itself, marked for `jaxcam.probe(function, name)`. Outside a probe it does nothing.

    Args:
        activation: `(B, h, w, K)`, or tokens `(B, tokens, K)`. In a function that `jax.vmap` maps over images, the
            activation of one image.
        name: what a probe calls it. A program that is probed has it once.
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
    """A function with a tap. The probe's parameters are the function, and its variables if it has any."""

    name: str
    call: tuple[tuple[str, Any], ...] = ()
    tokens: int | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def who(self) -> str:
        return f"tap {self.name!r}"

    def program(self, parameters: tuple, images: Array) -> tuple[Any, dict]:
        function, *variables = parameters
        return function(*variables, images, **dict(self.call)), {}

    def check(self, program: Jaxpr, parameters: PyTree, after: dict) -> None:
        pass

    def missing(self, parameters: tuple, names: list) -> str:
        if names:
            return unknown("tap", self.name, names)
        return f"no tap {self.name!r}: the function marks no activation with jaxcam.tap(activation, {self.name!r})"

    def split_at(self, parameters: tuple, images: Array) -> tuple[Array, Rest]:
        return split_at_mark(self, parameters, images)
