"""The words by which files name pictures, classes and boxes: columns of tables, keys of JSON, arrays in archives.

Manifests, the files of `jaxcam evaluate --boxes` and `--target-from` and the records of Python objects all use these
words. Of each thing the first word is the one in the documentation; of several that are there, the first counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._errors import listed, unknown

PATH = ("path", "file")
PICTURE = ("picture", "image")  # in a record of a Python object the picture itself, in a file its path
PATHS = (*PATH, *PICTURE)
TARGET = ("target", "class", "label")
TARGETS = (
    "target",
    "class",
    "imagenet",
    "label",
)  # where it may be a list of classes, as published files have it
BOXES = ("boxes",)
BOX = ("box",)  # of one of a row's OBJECTS
OBJECTS = "objects"

ARRAYS = ("images", "pictures", "image", "picture", "x")
LABELS = ("labels", "targets", "label", "target", "y")


def first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of `names` that the row has; None where it has none of them."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def or_else(names: Sequence[str]) -> str:
    """`path (or file, picture, image)`"""
    name, *others = names
    return f"{name} (or {', '.join(others)})" if others else name


def lacking(kind: str, names: Sequence[str], there: Iterable[str]) -> str:
    """`no column 'path'; did you mean 'pth'? There are: pth; one of path, file, picture or image is needed`"""
    needed = f"; one of {listed(names)} is needed" if len(names) > 1 else ""
    return f"{unknown(kind, names[0], there)}{needed}"
