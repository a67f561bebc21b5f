"""Files that say what pictures show: their classes, and boxes around the objects."""

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._errors import brief, foreign
from ...files._fields import BOX, BOXES, OBJECTS, PATHS, TARGETS, lacking


def read_targets(path: Path) -> dict[str, Any]:
    """Classes by picture, from rows of CSV, TSV or JSON.

    A table has columns `path` (or file, picture, image) and `target` (or class, imagenet, label), as the index of
    `jaxcam explain` has, or no heading and those two columns. JSON is a dict from picture to class, or a list of such
    rows.

    Raises:
        ValueError: no such table, or a picture with two rows.
        OSError: a file that cannot be read.
    """
    if path.suffix.lower() == ".json":
        value = _json(path)
        if isinstance(value, dict):
            return _by_picture(path, list(value.items()))
        rows = [(_key(path, n, row, PATHS), _key(path, n, row, TARGETS)) for n, row in _numbered(path, value)]
    else:
        rows = list(_table(path))
    return _by_picture(path, rows)


def read_boxes(path: Path) -> dict[str, list[tuple[Any, list]]]:
    """Objects by picture, each `(classes, boxes)`, from JSON: a list of rows.

    A row has `path` (or file, picture, image) and `boxes`, rows of x0, y0, x1, y1 in pixels of the picture, and may
    have `target` (or class, imagenet, label; the first of these that is there counts): the object's class, or the list
    of those that it may be. A picture with objects of several classes has `objects` instead, each with its `box` and
    classes; objects of the same classes go together, and those whose list is empty are left out.

    Raises:
        ValueError: no such file (the row and what it lacks are named), or a picture with two rows.
        OSError: a file that cannot be read.
    """
    rows = []
    for number, row in _numbered(path, _json(path)):
        objects = row.get(OBJECTS, [row])
        if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
            raise ValueError(f"{path}: row {number}: objects is a list of objects; got {brief(objects)}")
        groups = defaultdict(list)
        for each in objects:
            classes = next((each[key] for key in TARGETS if key in each), None)
            if OBJECTS in row and classes in (None, []):
                continue
            boxes = [_key(path, number, each, BOX)] if OBJECTS in row else each.get(BOXES[0])
            if not isinstance(boxes, list) or not boxes or not all(map(_is_box, boxes)):
                raise ValueError(
                    f"{path}: row {number}: boxes is a list of [x0, y0, x1, y1], with one at least; got {brief(boxes)}"
                )
            groups[json.dumps(classes)] += boxes
        if not groups:
            raise ValueError(f"{path}: row {number} has no object with a class")
        rows.append(
            (_key(path, number, row, PATHS), [(json.loads(key), value) for key, value in groups.items()])
        )
    return _by_picture(path, rows)


def class_keys(path: Path) -> list[str]:
    """The keys by which a file of boxes, which `read_boxes` reads, names classes."""
    rows = [each for row in _json(path) for each in (row, *row.get(OBJECTS, ()))]
    return [key for key in TARGETS if any(key in row for row in rows)]


def lookup(rows: Mapping[str, Any], pictures: Sequence[Path], path: Path) -> dict[Path, Any]:
    """Each picture's value. A row is a picture's if it names its path, absolute, from here or from the folder of
    `path`, or else if both have the same file name and no other row has.

    Raises ValueError for pictures without a row.
    """
    places = {place: value for name, value in rows.items() for place in _places(name, path)}
    named = defaultdict(list)
    for name, value in rows.items():
        named[Path(name).name].append(value)
    found, missing = {}, []
    for picture in pictures:
        alike = named[picture.name]
        if picture.resolve() in places:
            found[picture] = places[picture.resolve()]
        elif len(alike) == 1:
            found[picture] = alike[0]
        else:
            missing.append(f"{picture.name!r}" + (" (several of that name)" if alike else ""))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ValueError(f"{path} has no row for {', '.join(missing[:3])}{more}")
    return found


def _is_box(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(type(each) in (int, float) and abs(each) < 2**31 for each in value)  # also no NaN


def _places(name: str, path: Path) -> Iterator[Path]:
    yield Path(name).resolve()
    yield (path.parent / name).resolve()


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _by_picture(path: Path, rows: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in rows:
        if not isinstance(name, str):
            raise ValueError(f"{path}: a picture is named by its path; got {brief(name)}")
        if "\0" in name or not _encodable(name):
            raise ValueError(f"{path}: no file can have the name {brief(name)}")
        if name in found:
            raise ValueError(f"{path} has two rows for {brief(name)}")
        found[name] = value
    if not found:
        raise ValueError(f"{path} has no row")
    return found


def _json(path: Path) -> Any:
    with foreign(f"{path} is not JSON"):
        return json.loads(path.read_text("utf-8-sig"))


def _numbered(path: Path, value: object) -> Iterator[tuple[int, dict]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f'{path} is not a list of rows, one for each picture: [{{"{PATHS[0]}": ...}}, ...]')
    return enumerate(value, start=1)


def _key(path: Path, number: int, row: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise ValueError(f"{path}: row {number}: {lacking('key', names, row)}")


def _table(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a CSV or TSV file: {error}") from error
    tabs = "\t" in text.partition("\n")[0]
    with foreign(f"{path} is not a CSV or TSV file"):
        reader = csv.reader(io.StringIO(text), delimiter="\t" if tabs else ",")
        heading, *rows = [row for row in reader if row] or [[]]
    words = [each.strip().lower() for each in heading]
    columns = [next((words.index(name) for name in names if name in words), -1) for names in (PATHS, TARGETS)]
    width = len(heading)
    if -1 in columns:
        columns, rows, width = [0, 1], [heading, *rows], 2
    for row in rows:
        if len(row) != width:
            raise ValueError(
                f"{path}: a row needs {width} columns, a picture and a class among them; got {brief(row)}"
            )
        yield row[columns[0]].strip(), row[columns[1]].strip()
