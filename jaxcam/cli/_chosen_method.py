"""The method of a command: a named one, the default one, or that of an explainer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..methods._expression import method_named
from ._arguments import method_options
from ._explainer import is_explainer
from ._open_model import OpenedModel, Wanted
from ._options import DEFAULT_METHOD


class Chosen(NamedTuple):
    """A method by name, its function and its options."""

    name: str
    function: Callable
    options: Mapping[str, Any]


def check_method(wanted: Wanted, method: str | None, option: Iterable[str]) -> None:
    """Raises ValueError for no such method or option. `method` is None where none was named."""
    if not is_explainer(wanted.model):
        method_options(method or DEFAULT_METHOD, option)


def chosen_method(opened: OpenedModel, method: str | None, option: Iterable[str]) -> Chosen:
    """The method that is named, the default one, or that of an explainer.

    Raises ValueError for another method or an option of an explainer.
    """
    if opened.own is None:
        name = method or DEFAULT_METHOD
        return Chosen(name, method_named(name), method_options(name, option))
    name = getattr(opened.own, "__name__", "")
    if method not in (None, name):
        raise ValueError(
            f"--method {method}: this explainer was exported with {name}, and has no other method"
        )
    if given := tuple(option):
        raise ValueError(
            f"--option {given[0]}: the options of an explainer are those that it was exported with"
        )
    return Chosen(name, opened.own, {})


def check_stored(opened: OpenedModel, stored: str, option: str) -> None:
    """Raises ValueError where raw maps, or maps of the layer's size, are wanted of an explainer that has none."""
    if stored != "image" and not opened.raw:
        raise ValueError(
            f"{option}: this explainer gives maps for display, of the image's size: export it with --raw for others"
        )
