"""Writing a store, batch by batch, and making one.

A batch of records is one chunk of every array, and the chunk of `status` is written when all others are: whatever kills
a process leaves nothing to repair.

The group's metadata is written first, and only where there is none: of two processes that create a store at once, one
does. It holds the metadata of all arrays, from which every process that opens the store writes what is missing.
"""

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from . import _strings
from ._columns import STATUS, Column
from ._errors import GONE, cannot_write
from ._layout import describe, describes
from ._store import GROUP, Store, keyvalues


class Writer:
    """Writes to a store that is open, which must be one that `create` made."""

    def __init__(self, store: Store):
        if STATUS not in store.layout:
            raise ValueError(f"{store.location!r} was not made by `jaxcam run`")
        self.store = store
        numbers = [name for name in store.names if store.dtype(name) != "string"]
        self._arrays = {name: store.array(name) for name in numbers}

    def write(self, number: int, rows: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Writes a batch: for every array its rows, `batch` of them, or fewer at the data set's end.

        Returns when all is written, `status` last.

        Raises OSError where it cannot be written, or where the store is gone; what was written before stays valid.
        """
        with cannot_write(self.store.location):
            writing = [self._write(name, number, rows[name]) for name in self.store.names if name != STATUS]
            for each in writing:
                each.result()
            self.check_there()
            self._write(STATUS, number, rows[STATUS]).result()

    def check_there(self) -> None:
        """Raises OSError where the store was removed, or another was put in its place, since it was opened."""
        text = self.store.kv.read(GROUP).result().value
        if (
            text != self.store.group and _attributes(text) != self.store.attributes
        ):  # others may add to the group
            raise OSError(errno.ENOENT, GONE, self.store.location)

    def check_complete(self, numbers: Sequence[int]) -> None:
        """Raises OSError where one of these batches, which were written, is not there."""
        self.check_there()
        if gone := sorted(set(numbers) - self.store.done()):
            reason = f"{len(gone)} batches that were written are gone, {gone[0]} the first: run the same command again"
            raise OSError(errno.ENOENT, reason, self.store.location)

    def forget(self, number: int) -> None:
        """Marks a batch as not done."""
        with cannot_write(self.store.location):
            self.store.kv.write(f"{STATUS}/c/{number}", None).result()

    def write_metadata(self) -> None:
        """Writes the metadata of every array whose own is missing or cut short; all processes write the same."""
        with cannot_write(self.store.location):
            reading = {name: self.store.kv.read(f"{name}/{GROUP}") for name in self.store.names}
            writing = [
                self.store.kv.write(f"{name}/{GROUP}", json.dumps(self.store.layout[name]).encode())
                for name, found in reading.items()
                if not describes(found.result().value, self.store.layout[name])
            ]
            for each in writing:
                each.result()

    def _write(self, name: str, number: int, rows: Any) -> ts.Future:
        if name not in self._arrays:
            chunk = _strings.encode(rows, self.store.batch, self.store.layout[name])
            return self.store.kv.write(f"{name}/c/{number}", chunk)
        start = number * self.store.batch
        return self._arrays[name][start : start + len(rows)].write(rows).commit


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


def _attributes(text: bytes) -> Any:
    """Settings of a store, read from the text of its group; None if the text is not that of a store."""
    try:
        return json.loads(text)["attributes"]["jaxcam"]
    except (ValueError, LookupError, TypeError):
        return None
