"""The names of classes, and targets given by name."""

import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from .._errors import brief, unknown
from ..targets._several import Top, top

HOLDING = 10  # classes whose names hold a word that names none
_SYNSET = re.compile(r"n\d{8}")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Labels:
    """Names of classes by index; a class without one is called by its number.

    Each entry is a tuple: the name first, then other words for the class (a synset).
    """

    def __init__(self, entries: Sequence[tuple[str, ...]], classes: int):
        self.classes = classes
        self.names = [entry[0] for entry in entries] or [f"class {index}" for index in range(classes)]
        self._indices: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            # "red fox, Vulpes vulpes": every part names the class
            parts = [part.strip().casefold() for word in entry for part in (word, *word.split(","))]
            for part in dict.fromkeys(filter(None, parts)):
                self._indices.setdefault(part, []).append(index)

    def index(self, name: str) -> int:
        """The class of that name, whatever the case of its letters.

        Raises ValueError for no such name (the nearest is named) and for one that several classes share.
        """
        if not self._indices:
            raise ValueError(
                f"target {brief(name)}: no class names are known for this model; give its number, "
                f"0 to {self.classes - 1}, or a file of names with --labels"
            )
        indices = self._indices.get(name.strip().casefold())
        if indices is None:
            raise ValueError(self._unknown(name.strip().casefold()))
        if len(indices) > 1:
            raise ValueError(f"{name!r} names the classes {' and '.join(map(str, indices))}: give the number")
        return indices[0]

    def _unknown(self, name: str) -> str:
        """`no class 'dog'; these hold it: Eskimo dog (248), ...`, those with the whole word first."""
        word = re.compile(rf"\b{re.escape(name)}\b")
        whole = [each for each, text in enumerate(self.names) if name and word.search(text.casefold())]
        part = [each for each, text in enumerate(self.names) if name and name in text.casefold()]
        if found := list(dict.fromkeys([*whole, *part])):
            listed = ", ".join(f"{self.names[each]} ({each})" for each in found[:HOLDING])
            more = f" and {len(found) - HOLDING} more" if len(found) > HOLDING else ""
            return f"no class {brief(name)}; these hold it: {listed}{more}"
        return unknown("class", name, [key for key in self._indices if not _SYNSET.fullmatch(key)], show=3)


def labels_for(model: str, classes: int, *, path: Path | None = None) -> Labels:
    """The names in a file or, without one, those of ImageNet for 1000 classes and of CIFAR-10 for its models.

    Raises:
        ValueError: a file that holds no list of names, or names another number of classes.
        OSError: a file that cannot be read.
    """
    if path is None:
        return Labels(known_entries(model, classes), classes)
    entries = read_entries(path)
    if len(entries) != classes:
        raise ValueError(f"{path} names {len(entries)} classes, the model has {classes}")
    return Labels(entries, classes)


def known_entries(model: str, classes: int) -> list[tuple[str, ...]]:
    """The words for each class, as `Labels` takes them, of ImageNet or CIFAR-10; none where neither is the model's."""
    if classes == 1000:
        file = resources.files("jaxcam.files").joinpath("imagenet.txt")
        return _rows(file.read_text("utf-8").splitlines())
    if classes == 10 and model.startswith("cifar_"):
        return [(name,) for name in CIFAR10]
    return []


def read_entries(path: Path) -> list[tuple[str, ...]]:
    """A name a line; index, synset and name with tabs between; or JSON, a list or a dict by index."""
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".json" or text.lstrip().startswith(("[", "{")):
            return _json(json.loads(text))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a file of class names: {error}") from error
    try:
        return _rows([line for line in text.splitlines() if line.strip()])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _rows(lines: list[str]) -> list[tuple[str, ...]]:
    rows = [[field.strip() for field in line.split("\t")] for line in lines]
    if not all(len(row) > 1 and row[0].isdecimal() for row in rows):
        return [(line.strip(),) for line in lines]
    return _ordered({int(row[0]): (row[-1], *row[1:-1]) for row in rows}, len(rows))


def _json(value: object) -> list[tuple[str, ...]]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not all(str(key).isdecimal() for key in value):
        raise ValueError("class names in JSON are a list, or a dict from index to name")
    entries = {}
    for key, entry in value.items():
        words = entry if isinstance(entry, list) else [entry]  # Keras: {"0": ["n01440764", "tench"]}
        if not words or not all(isinstance(word, str) for word in words):
            raise ValueError(f"class {key} of the JSON has no name: {brief(entry)}")
        entries[int(key)] = (words[-1], *words[:-1])
    return _ordered(entries, len(value))


def _ordered(entries: dict[int, tuple[str, ...]], count: int) -> list[tuple[str, ...]]:
    if sorted(entries) != list(range(count)):
        raise ValueError(f"the {count} class names must be numbered from 0 to {count - 1}, each once")
    return [entries[index] for index in range(count)]


def parse_targets(texts: Iterable[str], labels: Labels) -> Top | list[int]:
    """Parses `277`, `red fox`, `top-3` or `predicted` (top-1); the most likely class if nothing is given.

    Raises ValueError for a class that the model does not have, and for `top-K` beside other targets.
    """
    texts = list(texts) or ["top-1"]
    tops = [k for text in texts if (k := top_of(text)) is not None]
    if tops and len(texts) > 1:
        raise ValueError(
            f"target top-{tops[0]} stands alone: leave the other targets out, or name the classes"
        )
    if tops:
        if not 1 <= tops[0] <= labels.classes:
            raise ValueError(
                f"no target top-{tops[0]}: with {labels.classes} classes, top-1 to top-{labels.classes}"
            )
        return top(tops[0])
    return list(dict.fromkeys(parse_target(text, labels) for text in texts))


def describe_targets(targets: Top | Sequence[int] | None) -> str:
    """In words: `top-5`, `3 7`, or `label` where each record has its own (None)."""
    if targets is None:
        return "label"
    return f"top-{targets.k}" if isinstance(targets, Top) else " ".join(map(str, targets))


def top_of(text: str) -> int | None:
    """K of `top-K`, 1 for `predicted`; None for a class."""
    word = text.strip().casefold()
    if word == "predicted":
        return 1
    found = re.fullmatch(r"top[-_ ]?(\d+)", word)
    return int(found[1]) if found else None


def parse_target(text: str, labels: Labels) -> int:
    """`277` or `red fox`.

    Raises ValueError for a class that the model does not have.
    """
    if re.match(r"top\W*(-?\d|$)", text.strip(), re.I):
        raise ValueError(
            f"no target {brief(text)}: a class by number or name, or top-1 to top-{labels.classes}, such as top-3"
        )
    if not re.fullmatch(r"[+-]?\d+", text.strip()):
        return labels.index(text)
    index = int(text)
    if not 0 <= index < labels.classes:
        raise ValueError(
            f"no class {index}: the model has {labels.classes} classes, 0 to {labels.classes - 1}"
        )
    return index
