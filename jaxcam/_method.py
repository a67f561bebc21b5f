"""What a method is, and the check that all begin with."""

import functools
from collections.abc import Callable
from typing import Protocol, TypeVar, cast, runtime_checkable

from jaxtyping import Array

from ._checks import check_probe
from .probes._probe import Probe
from .targets._score import Target

Checked = TypeVar("Checked", bound=Callable)


@runtime_checkable
class Method(Protocol):
    """How a map is made: a function of one image. Its options are keywords with defaults."""

    def __call__(self, probe: Probe, image: Array, target: Target, /) -> Array: ...


def of_probe(method: Checked) -> Checked:
    """The method, with a clear error where a model is passed instead of a probe of it, or a probe of several layers."""

    @functools.wraps(method)
    def checked(probe: Probe, *arguments: object, **options: object) -> object:
        check_probe(probe)
        if len(probe.layers) > 1:
            raise TypeError(
                f"{getattr(method, '__name__', method)} looks at one layer; the probe has {', '.join(probe.layers)}: "
                f"take one of them, such as probe[{probe.layers[-1]!r}]"
            )
        return method(probe, *arguments, **options)

    return cast(Checked, checked)


def of_layers(method: Checked) -> Checked:
    """The method, of a probe of one layer or of several, with a clear error where a model is passed instead."""

    @functools.wraps(method)
    def checked(probe: Probe, *arguments: object, **options: object) -> object:
        check_probe(probe)
        return method(probe, *arguments, **options)

    return cast(Checked, checked)
