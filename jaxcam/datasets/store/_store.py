"""The store: a zarr v3 group, written batch by batch, whose chunks of `status` say which batches are done.

A batch of records is one chunk of every array. The chunk of `status` is written when all others are, so its presence
is the record of what is done, and whatever kills a process leaves nothing to repair.

The group's metadata is written first, and only where there is none: of two processes that create a store at once, one
does. It holds the metadata of all arrays, from which every process that opens the store writes what is missing.
"""

import errno
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorstore as ts

from . import _strings
from ._columns import STATUS, Column
from ._damage import named
from ._errors import cannot_write
from ._layout import describe, describes, open_array, written
from ._location import folder_of

GROUP = "zarr.json"


class Store:
    """A store that is open. Made by `create` and `open_store`.

    Attributes:
        location: its path or URL.
        attributes: how it was made, everything that is needed to make it again.
        names: of its arrays.
        kv: the files below it.
        records, batch: how many records there are, and how many make a batch, which is one chunk.
    """

    def __init__(self, location: str, kv: ts.KvStore, text: bytes):
        group = json.loads(text)
        self.location, self.attributes = location, group["attributes"]["jaxcam"]
        self.kv, self._group = kv, text
        self._layout = group["consolidated_metadata"]["metadata"]
        self.names = tuple(self._layout)
        self.records: int = self._layout[STATUS]["shape"][0]
        self.batch: int = self._layout[STATUS]["chunk_grid"]["configuration"]["chunk_shape"][0]
        numbers = {name: about for name, about in self._layout.items() if not self._is_text(name)}
        self._arrays = {name: open_array(kv, name, about) for name, about in numbers.items()}
        self._strict = {name: open_array(kv, name, about, strict=True) for name, about in numbers.items()}

    @property
    def batches(self) -> int:
        return -(-self.records // self.batch)

    def done(self) -> set[int]:
        """The numbers of the batches that are complete."""
        return self.written(STATUS)

    def written(self, name: str) -> set[int]:
        """The numbers of the batches of which an array has a chunk."""
        return written(self.kv, name)

    def write(self, number: int, rows: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Writes a batch: for every array its rows, `batch` of them, or fewer at the data set's end.

        Returns when all is written, `status` last.

        Raises OSError where it cannot be written, or where the store is gone; what was written before stays valid.
        """
        with cannot_write(self.location):
            writing = [self._write(name, number, rows[name]) for name in self.names if name != STATUS]
            for each in writing:
                each.result()
            self.check_there()
            self._write(STATUS, number, rows[STATUS]).result()

    def check_there(self) -> None:
        """Raises OSError where the store was removed, or another was put in its place, since it was opened."""
        text = self.kv.read(GROUP).result().value
        if text != self._group and _attributes(text) != self.attributes:  # others may add to the group
            raise OSError(
                errno.ENOENT, "the store was removed or replaced while the run was writing", self.location
            )

    def check_complete(self, numbers: Sequence[int]) -> None:
        """Raises OSError where one of these batches, which were written, is not there."""
        self.check_there()
        if gone := sorted(set(numbers) - self.done()):
            reason = f"{len(gone)} batches that were written are gone, {gone[0]} the first: run the same command again"
            raise OSError(errno.ENOENT, reason, self.location)

    def forget(self, number: int) -> None:
        """A batch is no longer done."""
        with cannot_write(self.location):
            self.kv.write(f"{STATUS}/c/{number}", None).result()

    def write_metadata(self) -> None:
        """Writes the metadata of every array whose own is missing or cut short; all processes write the same."""
        with cannot_write(self.location):
            reading = {name: self.kv.read(f"{name}/{GROUP}") for name in self.names}
            writing = [
                self.kv.write(f"{name}/{GROUP}", json.dumps(self._layout[name]).encode())
                for name, found in reading.items()
                if not describes(found.result().value, self._layout[name])
            ]
            for each in writing:
                each.result()

    def reading(self, number: int, names: Iterable[str]) -> dict[str, ts.Future]:
        """Begins to read chunks of a batch, which is done: a missing one is an error."""
        start, stop = number * self.batch, min((number + 1) * self.batch, self.records)
        return {
            name: self.kv.read(f"{name}/c/{number}")
            if self._is_text(name)
            else self._strict[name][start:stop].read()
            for name in names
        }

    def decoded(self, name: str, found: Any) -> np.ndarray | list[str]:
        """What `reading` found. Raises ValueError for a chunk of text that is damaged or missing."""
        if not self._is_text(name):
            return found
        if found.state != "value":
            raise ValueError("NOT_FOUND")
        return _strings.decode(found.value, self.batch, self._layout[name])

    def _write(self, name: str, number: int, rows: np.ndarray | Sequence[str]) -> ts.Future:
        if self._is_text(name):
            chunk = _strings.encode(cast(Sequence[str], rows), self.batch, self._layout[name])
            return self.kv.write(f"{name}/c/{number}", chunk)
        start = number * self.batch
        return self._arrays[name][start : start + len(rows)].write(rows).commit

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole array, or of `maps`, which may be large, use `read`."""
        return self.read(name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start` to `stop` of an array; text as an array of objects."""
        stop = self.records if stop is None else min(stop, int(self.records))
        if not self._is_text(name):
            with named(self.location, name):
                return self._arrays[name][start:stop].read().result()
        first, last = start // self.batch, -(-stop // self.batch)
        with named(self.location, name):
            texts = _strings.read(self.kv, name, range(first, last), self._layout[name])
        return np.array(texts[start - first * self.batch : stop - first * self.batch], dtype=object)

    def _is_text(self, name: str) -> bool:
        return self._layout[name]["data_type"] == "string"


def create(
    location: str | Path,
    columns: Sequence[Column],
    *,
    records: int,
    batch: int,
    attributes: Mapping[str, Any],
) -> None:
    """Makes a new store, unless another process makes one first: open it to see whose it is.

    Raises OSError where it cannot be written.
    """
    kv = keyvalues(location)
    layout = {each.name: describe(each, records=records, batch=batch) for each in columns}
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"jaxcam": dict(attributes)},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": layout},
    }
    with cannot_write(str(location)):
        found = kv.read(GROUP).result()
        if found.state == "missing":
            text = json.dumps(group, indent=1, allow_nan=False).encode()
            kv.write(GROUP, text, if_equal=found.stamp.generation).result()


def open_store(location: str | Path) -> Store:
    """Opens a store that `jaxcam run` made.

    Args:
        location: a folder, or a URL that tensorstore knows (`file://`, `gs://`, `s3://`).

    Raises ValueError where there is none.
    """
    kv = keyvalues(location)
    found = kv.read(GROUP).result()
    if found.state != "value":
        raise ValueError(f"no store at {str(location)!r}")
    try:
        return Store(str(location), kv, found.value)
    except (
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        json.JSONDecodeError,
    ) as error:
        raise ValueError(f"{str(location)!r} was not made by `jaxcam run`") from error


def keyvalues(location: str | Path) -> ts.KvStore:
    """The files below a folder, or a URL. Raises ValueError where a file is in the way."""
    text, folder = str(location), folder_of(location)
    files = [] if folder is None else [each for each in (folder, *folder.parents) if each.is_file()]
    if files:
        raise ValueError(f"{text!r} is no store, which is a folder: {str(files[0])!r} is a file")
    if "://" not in text:
        text = Path(text).absolute().as_uri()
    return ts.KvStore.open(text.rstrip("/") + "/").result()


def _attributes(text: bytes) -> Any:
    """How a store was made, by the text of its group; None where that is none."""
    try:
        return json.loads(text)["attributes"]["jaxcam"]
    except (ValueError, LookupError, TypeError):
        return None
