"""The check that all methods begin with."""

import functools
from collections.abc import Callable
from typing import TypeVar, cast

from .._checks import check_probe
from ..probes._probe import Probe

Method = TypeVar("Method", bound=Callable)


def of_probe(method: Method) -> Method:
    """The method, with a clear error where a model is passed instead of a probe of it."""

    @functools.wraps(method)
    def checked(probe: Probe, *arguments: object, **options: object) -> object:
        check_probe(probe)
        return method(probe, *arguments, **options)

    return cast(Method, checked)
