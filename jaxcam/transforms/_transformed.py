"""A method that a transform made of another method."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Hashable

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._checks import check_probe
from .._masks import settle
from .._method import Method
from ..probes._probe import Image, Probe
from ..targets._score import Target


@dataclasses.dataclass(frozen=True)
class Transformed:
    """A method with the signature and the options of the method that it is made of.

    It compares by value, so that a program is compiled once for all that are equal.

    Attributes:
        method: what it is made of.
        run: the transform: a function of that method with its options, a probe, an image and a target, and of the
            settings by keyword.
        settings: of the transform, by name, as they were given.
        name: of a composition that has one, such as RefineCAM; by default it is written as in Python.
    """

    method: Method
    run: Callable[..., Array]
    settings: tuple[tuple[str, Hashable], ...]
    name: str = ""

    def called(self, name: str, doc: str) -> "Transformed":
        """The same method with a name and a docstring of its own."""
        named = dataclasses.replace(self, name=name)
        object.__setattr__(named, "__doc__", doc)
        return named

    def __call__(self, probe: Probe, image: Image, target: Target = None, **options: object) -> Array:
        check_probe(probe)
        method = functools.partial(self.method, **options)
        settings = {name: value.array if isinstance(value, Fixed) else value for name, value in self.settings}
        return self.run(method, probe, image, target, **settings)

    @property
    def __name__(self) -> str:
        """Its own, or as it is written, with settings that are not the defaults: `smoothed(gradcampp, samples=8)`."""
        if self.name:
            return self.name
        defaults = inspect.signature(self.run).parameters
        changed = [f", {name}={value!r}" for name, value in self.settings if value != defaults[name].default]
        return f"{self.run.__name__.strip('_')}({name_of(self.method)}{''.join(changed)})"

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.method)

    def __repr__(self) -> str:
        return self.__name__


def name_of(method: Callable) -> str:
    method = getattr(method, "func", method)  # without its options
    return getattr(method, "__name__", repr(method))


def settled(probe: Probe, image: Image, target: Target) -> Target:
    """The target, with None made the class that is most likely for the image, for all that is made of the image."""
    return settle(probe(image)[0], None) if target is None else target


class Fixed:
    """An array that is part of a transform, compared by value."""

    def __init__(self, array: Array | np.ndarray):
        if isinstance(array, jax.core.Tracer):
            raise TypeError("a transform's settings are fixed when it is made: got an array that is traced")
        self.array = array
        data = jax.random.key_data(array) if _is_key(array) else array
        self._key = (str(array.dtype), array.shape, np.asarray(data).tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"{self._key[0]}{list(self._key[1])}:{hash(self._key) & 0xFFFFFFFF:08x}"


def _is_key(array: Array | np.ndarray) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)


def fixed(value: Hashable | Array | np.ndarray) -> Hashable:
    """A setting that can be compared."""
    return Fixed(value) if isinstance(value, jax.Array | np.ndarray) else value


def check_method(transform: str, method: object) -> None:
    if not callable(method):
        raise TypeError(f"{transform} takes a method, such as jaxcam.gradcam; got {method!r}")
