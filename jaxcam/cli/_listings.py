"""The tables of `jaxcam models` and `jaxcam classes`, read from the models and labels themselves."""

from pathlib import Path
from typing import Any

from rich.text import Text

from .. import models as _models
from .._errors import unknown
from .._terminal import console, table
from ..exporting._archive import read_archive
from ..files._labels import known_entries, read_entries
from ..models._published import PUBLISHED
from ..models._registry import find
from ._explainer import is_explainer


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
