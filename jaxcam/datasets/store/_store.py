"""Reading a store: a zarr v3 group whose chunks of `status` say which batches are done, also while a run goes on.

A batch of records is one chunk of every array. The chunk of `status` is written when all others are, so its presence
is the record of what is done. The group holds the metadata of all arrays that the run writes; others may have added
arrays of their own.
"""

import json
import math
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from ..._errors import foreign, unknown
from . import _strings
from ._columns import STATUS
from ._damage import named
from ._layout import open_array, written
from ._location import folder_of

GROUP = "zarr.json"
MOST_RECORDS = 20_000_000  # whose figures fit in memory


class Store:
    """A store that is open to be read. Made by `open_store`; `Writer` writes to one.

    Attributes:
        location: its path or URL.
        attributes: how it was made, everything that is needed to make it again.
        group: the text of the group's metadata, as it was when the store was opened.
        kv: the files below it.
        layout: the metadata of the arrays that the run writes, by name.
        records, batch: how many records there are, and how many make a batch, which is one chunk.

    A chunk of more than `largest` bytes is not read.
    """

    def __init__(self, location: str, kv: ts.KvStore, text: bytes, *, largest: int | None = None):
        group = json.loads(text)
        self.location, self.attributes = location, group["attributes"]["jaxcam"]
        self.kv, self.group, self._largest = kv, text, largest
        self.layout: dict[str, dict[str, Any]] = listed(group)
        self._open: dict[tuple[str, bool], ts.TensorStore] = {}
        status = self.about(STATUS)
        with self.damaged(STATUS):
            self.records = int(status["shape"][0])
            self.batch = int(status["chunk_grid"]["configuration"]["chunk_shape"][0])
            if self.records < 0 or self.batch < 1:
                raise ValueError(f"it has {self.records} rows in chunks of {self.batch}")

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays that the run writes, a chunk of each for every batch that is done."""
        return tuple(self.layout)

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """All arrays, those that others added too."""
        return arrays_of(self.location, self.kv, self.layout)

    @property
    def batches(self) -> int:
        return -(-self.records // self.batch)

    @property
    def rank(self) -> int:
        """The number of spatial axes of a map, which are the last ones of `maps`: 1 for signals, 3 for volumes."""
        size = self.attributes.get("size")
        return len(size) if isinstance(size, list) and 1 <= len(size) <= 3 else 2

    @cached_property
    def paths(self) -> list[str]:
        """Path of each record's picture in the source."""
        return self.read("path").tolist()

    def done(self) -> set[int]:
        """The numbers of the batches that are complete."""
        return self.written(STATUS)

    def written(self, name: str) -> set[int]:
        """Numbers of the batches for which an array has a chunk."""
        return written(self.kv, name)

    def rows(self, number: int) -> range:
        """The records of a batch."""
        return range(number * self.batch, min((number + 1) * self.batch, self.records))

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole array; of `maps`, which may be large, use `read`."""
        return self.read(name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start` to `stop` of an array, text as an array of objects; what is not written yet is its fill value.

        Raises ValueError for an array that is not there or not of such a type, and for a chunk that is damaged.
        """
        if self.dtype(name) == "string":
            return self._texts(name, start, self.records if stop is None else min(stop, self.records))
        array = self.array(name)
        length = array.shape[0]
        with named(self.location, name), self.damaged(name):
            return np.asarray(array[start : length if stop is None else min(stop, length)].read().result())

    def array(self, name: str, *, strict: bool = False) -> ts.TensorStore:
        """An array of numbers; with `strict`, reading a missing chunk is an error."""
        if (name, strict) not in self._open:
            about = self.layout.get(name)
            with self.damaged(name):
                array = open_array(self.kv, name, about, strict=strict)
                chunk = array.chunk_layout.read_chunk.shape or ()
                size = math.prod(side or 1 for side in chunk) * array.dtype.numpy_dtype.itemsize
            if not array.shape or (self._largest is not None and size > self._largest):
                raise ValueError(
                    f"{self.location!r}: {name!r} is damaged: it has the shape {array.shape}, in chunks of {chunk}"
                )
            self._open[name, strict] = array
        return self._open[name, strict]

    def chunk(self, name: str) -> int:
        """Rows of an array of numbers in a chunk."""
        shape = self.array(name).chunk_layout.read_chunk.shape or (1,)
        return int(shape[0] or 1)

    def about(self, name: str) -> dict[str, Any]:
        """The metadata of an array: what the group says of it or, of those that others added, its own.

        Raises ValueError for an array that is not there.
        """
        if name not in self.layout and name not in self.arrays:
            raise ValueError(f"{self.location!r}: {unknown('array', name, self.arrays)}")
        with self.damaged(name):
            about = self.layout.get(name) or json.loads(self.kv.read(f"{name}/{GROUP}").result().value)
            if not isinstance(about, dict):
                raise ValueError("its metadata is not an object")
        return about

    def dtype(self, name: str) -> str:
        """An array's type, by zarr's name for it, such as `float32` or `string`."""
        found = self.about(name).get("data_type")
        return found if isinstance(found, str) else "other"

    def damaged(self, name: str) -> AbstractContextManager[None]:
        """Context manager: any error while an array is read becomes a ValueError that names the store and the array."""
        return foreign(f"{self.location!r}: {name!r} is damaged")

    def _texts(self, name: str, start: int, stop: int) -> np.ndarray:
        about = self.about(name)
        with self.damaged(name):
            plain, codecs = _strings.is_text(about), [each["name"] for each in about["codecs"]]
            (count,) = map(int, about["shape"])
            (size,) = map(int, about["chunk_grid"]["configuration"]["chunk_shape"])
        if not plain:
            raise ValueError(f"{name!r} in {self.location!r} is not an array of plain strings: {codecs}")
        if count != self.records or not 1 <= size <= MOST_RECORDS:
            raise ValueError(
                f"{self.location!r}: {name!r} is damaged: it has {count} rows in chunks of {size}, not {self.records}"
            )
        first, last = start // size, -(-stop // size)
        with named(self.location, name), self.damaged(name):
            texts = _strings.read(self.kv, name, range(first, last), about)
        return np.array(texts[start - first * size : stop - first * size], dtype=object)


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
        raise ValueError(f"{text!r} is not a store, which is a folder: {str(files[0])!r} is a file")
    if "://" not in text:
        text = Path(text).absolute().as_uri()
    return ts.KvStore.open(text.rstrip("/") + "/").result()


def listed(group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The metadata of arrays that a group holds, by name."""
    consolidated = group.get("consolidated_metadata")
    found = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    found = found if isinstance(found, dict) else {}
    return {name: about for name, about in found.items() if isinstance(about, dict)}


def arrays_of(location: str, kv: ts.KvStore, layout: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """The names of all arrays. In a bucket, where a million chunks would be listed with them, those that its group
    lists."""
    folder, ending = folder_of(location), f"/{GROUP}"
    if folder is not None:
        return tuple(sorted(each.parent.name for each in folder.glob(f"*{ending}")))
    if layout:
        return tuple(sorted(layout))
    files = (key.decode() for key in kv.list().result())
    return tuple(sorted(key.removesuffix(ending) for key in files if key.endswith(ending)))
