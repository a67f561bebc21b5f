"""The tables of `jaxcam methods` and `jaxcam models`, read from the methods and models themselves."""

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from rich.text import Text

from .. import models as _models
from .._errors import unknown
from .._terminal import console, table
from ..methods import METHODS
from ..methods._costs import COSTS
from ..models._published import PUBLISHED


def methods() -> list[dict[str, Any]]:
    """Name, summary, source and cost of every method; summary and source are those of its docstring."""
    return [
        {
            "name": name,
            "summary": _summary(method),
            "source": _source(method),
            "gradient": COSTS[name].gradient,
            "forward": COSTS[name].forward,
        }
        for name, method in METHODS.items()
    ]


def models(pattern: str = "") -> list[dict[str, Any]]:
    """Name, number of parameters, default layer and input size of the models whose name holds `pattern`.

    Raises ValueError where there is none.
    """
    names = [name for name in _models.names() if pattern.lower() in name]
    if not names:
        raise ValueError(unknown("model", pattern, _models.names()))
    return [
        {
            "name": name,
            "parameters": PUBLISHED[name].parameters,
            "layer": _models.default_layer(name),
            "size": _models.preprocess(name).size,
        }
        for name in names
    ]


def show_methods(rows: list[dict[str, Any]]) -> None:
    shown = table("method", "what it is, and whose", "forward", "gradient", whole=("method", "forward"))
    for row in rows:
        gradient = "yes" if row["gradient"] else "no"
        source = re.sub(r'"[^"]*",?\s*', "", row["source"])  # without the title
        described = f"{row['summary']}\n{source}"
        shown.add_row(*map(Text, (row["name"], described, row["forward"], gradient)))
    console().print(shown)
    console().print(
        "forward: passes for one picture and class, K being the layer's channels; head: what follows the layer. "
        "A gradient adds one backward pass of the head."
    )


def show_models(rows: list[dict[str, Any]]) -> None:
    shown = table("model", "parameters", "layer", "input", right=("parameters", "input"))
    for row in rows:
        shown.add_row(*map(Text, (row["name"], f"{row['parameters']:,}", row["layer"], f"{row['size']}²")))
    console().print(shown)


def _docstring(method: Callable) -> str:
    """Also where Python was told to drop docstrings (-OO): then that of the source file."""
    if method.__doc__ is None:
        (function,) = ast.parse(inspect.getsource(method)).body
        return ast.get_docstring(cast(ast.FunctionDef, function)) or ""
    return inspect.cleandoc(method.__doc__)


def _summary(method: Callable) -> str:
    """The docstring's first sentence, without marks: `Grad-CAM: w_k = mean_ij G_kij, M = Σ_k w_k A_k.`"""
    paragraph = _docstring(method).split("\n\n")[0]
    return " ".join(paragraph.replace("`", "").split())


def _source(method: Callable) -> str:
    """The docstring's `Source:` up to the mark that says what kind of source it is."""
    found = re.search(r"^Source: (.*?)\s*\[", _docstring(method), re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"the docstring of {method.__name__} names no source")
    return " ".join(found[1].split())
