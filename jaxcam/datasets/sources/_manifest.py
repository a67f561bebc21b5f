"""A table of pictures: CSV, TSV, JSON lines or Parquet with columns path, target and boxes."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..._errors import brief
from ...files._decode import decode_file
from ...files._fields import BOXES, PATHS, TARGET, first
from ...files._labels import Labels
from ._classes import number
from ._files import digest_of_file, size_of, time_of_change
from ._items import as_boxes, as_label
from ._record import Boxes, Guarded, Record, as_text
from ._tables import READERS

_LOOKED_AT = 100  # files, to tell a wrong folder from a missing file


class Manifest(Guarded):
    """The pictures that the rows of a table name.

    `path` (or file, picture, image) is absolute or from the table's folder. `target` (or class, label) is a class's
    number, or every row has a name; empty is none. `boxes` are [x0, y0, x1, y1] or a list of such, as JSON in text.
    Other columns are left alone.

    Raises ValueError for a row that is not so: the line and the value are named.
    """

    kind = "manifest"

    def __init__(self, path: Path, *, classes: Labels | None, boxes: bool = True):
        self.location, self._folder = str(path), path.parent
        self._paths: list[str] = []
        self._boxes: dict[int, Boxes] = {}
        targets: list[int | str | None] = []
        places: dict[int | str | None, str] = {}  # of each target's first row
        for place, row in READERS[path.suffix.lower()](path):
            try:
                given = first(row, PATHS)
                if not isinstance(given, str) or not given:
                    raise ValueError(f"a path is text; got {brief(given)}")
                os.fsencode(given)  # half of a surrogate pair cannot be in a file's name
                target = _target(first(row, TARGET))
                if found := _boxes(first(row, BOXES), needed=boxes):
                    self._boxes[len(self._paths)] = found
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}: {place}: {error}") from error
            self._paths.append(given)
            targets.append(target)
            places.setdefault(target, place)
        if not self._paths:
            raise ValueError(f"{path} has no row")
        if not any(os.path.exists(self._file(i)) for i in range(min(len(self), _LOOKED_AT))):
            raise ValueError(
                f"{path}: no such file: {self._file(0)!r}, nor any other of the first; paths are taken from the "
                f"folder of the table"
            )
        self.classes, numbers = _number(path, places, classes)
        self._labels = [numbers[target] for target in targets]

    def __len__(self) -> int:
        return len(self._paths)

    def _file(self, i: int) -> str:
        return os.path.join(self._folder, self._paths[i])

    def name(self, i: int) -> str:
        return as_text(self._paths[i])

    def read(self, i: int) -> Record:
        picture, digest = decode_file(self._file(i))
        return Record(picture, self.name(i), digest, self._labels[i], self._boxes.get(i, ()))

    def digest(self, i: int) -> bytes:
        return digest_of_file(self._file(i))

    def changed(self, i: int) -> float:
        return time_of_change(self._file(i))

    def labels(self) -> list[int | None]:
        return self._labels

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for i, path in enumerate(self._paths):
            row = (path, size_of(self._file(i)), self._labels[i], self._boxes.get(i, ()))
            digest.update(repr(row).encode())
        return digest.hexdigest()


def _target(value: object) -> int | str | None:
    if isinstance(value, str):
        value = value.strip() or None
        if value is None or not re.fullmatch(r"[+-]?\d+", value):
            return value
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # pandas writes whole numbers with gaps so
        value = int(value)
    return as_label(value)


def _boxes(value: object, *, needed: bool) -> Boxes:
    """Boxes of a row. Raises ValueError for a value that is not boxes, unless boxes are not needed."""
    try:
        return as_boxes(_from_json(value))
    except (TypeError, ValueError):
        if needed:
            raise
        return ()


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError):
        raise ValueError(f"boxes are JSON such as [[x0, y0, x1, y1]]; got {brief(value)}") from None


def _number(
    path: Path, places: Mapping[int | str | None, str], classes: Labels | None
) -> tuple[tuple[str, ...] | None, dict[int | str | None, int | None]]:
    """The names of the classes, where targets are names, and the number of each target."""
    numbers: dict[int | str | None, int | None] = {each: each for each in places if not isinstance(each, str)}
    named = [each for each in places if isinstance(each, str)]
    if not named:
        return None, numbers
    for target, place in places.items():
        try:
            if classes is not None and isinstance(target, str):
                classes.index(target)
            if classes is None and isinstance(target, int):
                raise ValueError(f"target {target} is a number, where other rows have names: pass classes=")
        except ValueError as error:
            raise ValueError(f"{path}: {place}: {error}") from error
    names, known = number(named, classes)
    return names, {**numbers, **known}
