"""The tables of `jaxcam methods`, `models` and `classes`, read from the methods, models and labels themselves."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from rich.text import Text

from .. import models as _models
from .._errors import choose, unknown
from .._terminal import console, table
from ..exporting._archive import read_archive
from ..files._labels import known_entries, read_entries
from ..methods import METHODS
from ..methods._costs import COSTS
from ..models._published import PUBLISHED
from ..models._registry import find
from ._arguments import accepted
from ._explainer import is_explainer


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


def options_of(name: str) -> list[dict[str, str]]:
    """Name, default and meaning of each option of a method, from its signature and its docstring.

    Raises ValueError for no such method.
    """
    method = choose("method", name, METHODS, show=99)
    meanings = _meanings(method)
    return [
        {"name": option, "default": shown_default(default), "meaning": meanings[option]}
        for option, default in accepted(method).items()
    ]


def shown_default(value: object) -> str:
    """As `--option` takes it."""
    return getattr(value, "__name__", None) or str(value)


def classes(pattern: str, *, model: str | None, labels: Path | None) -> list[dict[str, Any]]:
    """Index and name of the classes whose name, or another word for them, holds `pattern`.

    Args:
        model: an architecture, or the file of an explainer; ImageNet's classes where neither it nor `labels` is given.
        labels: a file of class names.

    Raises:
        ValueError: no class whose name holds it (the nearest is named), no such model, a model whose classes have no
            names, or no file of names.
        OSError: a file that cannot be read.
    """
    entries = read_entries(labels) if labels is not None else _entries(model)
    word = pattern.strip().casefold()
    found = [
        {"index": index, "name": entry[0], "synset": entry[1] if len(entry) > 1 else ""}
        for index, entry in enumerate(entries)
        if any(word in each.casefold() for each in entry)
    ]
    if not found:
        raise ValueError(unknown("class", pattern, [entry[0] for entry in entries], show=3))
    return found


def _entries(model: str | None) -> list[tuple[str, ...]]:
    if model is None:
        return known_entries("", 1000)
    if is_explainer(model):
        about = read_archive(Path(model)).metadata["about"]
        entries = [(str(each),) for each in about.get("classes", ())]
    else:
        entries = known_entries(model, find(model).num_classes) if ":" not in model else []
    if not entries:
        raise ValueError(f"{model} does not say what its classes are called: pass a file of names, --labels")
    return entries


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


def show_options(name: str) -> None:
    """The method in words, and a table of its options."""
    row = next(each for each in methods() if each["name"] == name)
    console().print(Text(f"{name}: {row['summary']}\n{row['source']}\n"), soft_wrap=False)
    shown = table("option", "default", "what it is", whole=("option", "default"))
    for each in options_of(name):
        shown.add_row(*map(Text, (each["name"], each["default"], each["meaning"])))
    console().print(shown)
    console().print(Text(f"Given as --option NAME=VALUE, or --option {name}.NAME=VALUE."))


def show_classes(rows: list[dict[str, Any]]) -> None:
    synsets = any(row["synset"] for row in rows)
    shown = table("class", "name", *["synset"] * synsets, right=("class",))
    for row in rows:
        shown.add_row(*map(Text, (str(row["index"]), row["name"], *[row["synset"]] * synsets)))
    console().print(shown)


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


def _meanings(method: Callable) -> dict[str, str]:
    """What the docstring's `Args:` say of each."""
    found = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", _docstring(method), re.MULTILINE | re.DOTALL)
    entries = re.findall(
        r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", found[1] if found else "", re.MULTILINE
    )
    return {
        name: " ".join(text.replace("`", "").split()) for names, text in entries for name in names.split(", ")
    }


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
