"""The check that all methods begin with."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .._checks import check_probe

Method = TypeVar("Method", bound=Callable)


def of_probe(method: Method) -> Method:
    """The method, with a clear error where a model is passed instead of a probe of it."""

    @functools.wraps(method)
    def checked(probe: Any, *arguments: Any, **options: Any) -> Any:
        check_probe(probe)
        return method(probe, *arguments, **options)

    return cast(Method, checked)
