"""By which class and which boxes each picture is judged."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..._dtypes import ArrayLike
from ..._errors import brief
from ...files._decode import Unreadable, size_of_picture
from ...files._labels import Labels, parse_target, top_of
from ...metrics import rescale_boxes
from ._annotations import class_keys, lookup, read_boxes, read_targets

Cases = Mapping[Path, Sequence["Case"]]


class Case(NamedTuple):
    """What one picture is judged by, once.

    Attributes:
        classes: of which the one that the model finds most likely is explained; empty for any class.
        boxes: in pixels of the square that the model sees; None where there are none.
    """

    classes: tuple[int, ...]
    boxes: Float[np.ndarray, "n 4"] | None


class Origin(NamedTuple):
    """Where targets come from: in a word, as it was or could be given, and as a phrase for tables."""

    word: str
    phrase: str


def plan(
    pictures: Sequence[Path], *, target: str | None, target_from: str | None, boxes: Path | None
) -> tuple[Origin, Callable[[Labels, int], Cases]]:
    """Reads the files, and finds each picture's row.

    Args:
        target: a class by number or name; `top-1` or `predicted`, the most likely one; or `label`, each picture's own.
        target_from: where each picture's own class is: `name` for the pictures' names, `boxes` for the classes in that
            file, another file, or `label` for boxes where they name classes and names otherwise. By default the classes
            in the file of boxes, if there is one and it has some, or else `top-1`.
        boxes: a file of boxes.

    Returns:
        What was chosen, and a function `(labels, size) -> cases` for a model with these labels and an input
        of `size x size` pixels. It raises ValueError for a class that the model does not have and for boxes outside
        of the picture or without area.

    Raises:
        ValueError: a file that is not what it should be or lacks a picture, two ways to choose the class.
        OSError: a file that cannot be read.
    """
    # Check that there is one way to choose the class.
    if target is not None and target.strip().casefold() == "label":  # the word of `jaxcam run`
        target, target_from = None, target_from or "label"
    if target is not None and target_from is not None:
        raise ValueError(
            "one class for all pictures, or each its own: pass --target or --target-from, not both"
        )
    if target_from is not None and top_of(target_from) == 1:
        target, target_from = "top-1", None
    if target_from == "boxes" and boxes is None:
        raise ValueError("--target-from boxes needs the file: pass --boxes")
    # Read the boxes, which may name the classes too.
    objects = None if boxes is None else lookup(read_boxes(boxes), pictures, boxes)
    labelled = objects is not None and all(
        group[0] is not None for each in objects.values() for group in each
    )
    if target is None and target_from in (None, "label"):
        target_from = "boxes" if labelled else target_from and "name"
    if target_from == "boxes" and not labelled:
        raise ValueError(f"{boxes} does not name the class of every picture")
    if target_from != "boxes" and objects and any(len(each) > 1 for each in objects.values()):
        raise ValueError(
            f"{boxes} has objects of several classes in one picture: only --target-from boxes fits"
        )
    # Read the classes that stand in a file of their own.
    own = None
    if target_from not in (None, "name", "boxes"):
        own = lookup(read_targets(Path(target_from)), pictures, Path(target_from))

    def own_class(picture: Path, given: object, labels: Labels) -> tuple[int, ...]:
        if target_from == "name":
            return (_in_name(picture, labels),)
        return _indices(given if own is None else own[picture], labels)

    def build(labels: Labels, size: int) -> Cases:
        cases = {}
        same = _one(target or "top-1", labels) if target_from is None else None
        for picture in pictures:
            groups = objects[picture] if objects else [(None, None)]
            try:
                cases[picture] = [
                    Case(
                        own_class(picture, given, labels) if same is None else same,
                        _squeezed(rows, picture, size),
                    )
                    for given, rows in groups
                ]
            except ValueError as error:
                raise ValueError(f"{picture.name}: {error}") from error
        return cases

    return _origin(target, target_from, boxes), build


def _origin(target: str | None, target_from: str | None, boxes: Path | None) -> Origin:
    if target_from == "name":
        return Origin("name", "the class in each picture's name")
    if target_from == "boxes" and boxes is not None:
        keys = " and ".join(repr(each) for each in class_keys(boxes))
        return Origin("boxes", f"each picture's own class, {keys} in {boxes.name}")
    if target_from is not None:
        return Origin(target_from, f"each picture's own class, in {Path(target_from).name}")
    if target is None or top_of(target) == 1:
        return Origin("top-1", "the most likely class of each picture (top-1)")
    return Origin(target, f"class {target} for all pictures")


def _one(text: str, labels: Labels) -> tuple[int, ...]:
    count = top_of(text)
    if count not in (None, 1):
        raise ValueError(
            f"target {text!r}: one class of each picture is judged: top-1, label, or a class by number or name"
        )
    return () if count == 1 else (parse_target(text, labels),)


def _in_name(picture: Path, labels: Labels) -> int:
    """The number that the file's name begins with, or the synset in its name or in its folder's."""
    if number := re.match(r"\d+", picture.name):
        return parse_target(number[0], labels)
    for part in (picture.stem, picture.absolute().parent.name):
        if synset := re.search(r"(?<![a-z])n\d{8}(?!\d)", part):
            return parse_target(synset[0], labels)
    raise ValueError("the name begins with no class number and holds no synset such as n02119789")


def _indices(value: object, labels: Labels) -> tuple[int, ...]:
    """A class or a list of classes, by number or by name."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise ValueError(f"a class is a number or a name; got {brief(each)}")
    if not values:
        raise ValueError("its list of classes is empty")
    return tuple(dict.fromkeys(parse_target(str(each), labels) for each in values))


def _squeezed(boxes: ArrayLike | None, picture: Path, size: int) -> Float[np.ndarray, "n 4"] | None:
    """Boxes in pixels of the picture, in those of the square; None where there are none or the picture is damaged."""
    if boxes is None:
        return None
    try:
        return rescale_boxes(boxes, size_of_picture(picture), size=size)
    except Unreadable:  # reading the picture tells it
        return None
