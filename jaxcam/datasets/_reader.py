"""Reads a store of maps, also one whose run goes on, with arrays that others have added to it."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from .._errors import unknown
from . import _strings
from ._damage import missing, named
from ._layout import written
from ._location import folder_of
from ._store import keyvalues


class Reader:
    """A zarr v3 group with the arrays `maps`, `status`, `path` and more, one row a record.

    Attributes:
        location: folder or URL of the store.
        about: what the run was: model, weights, layer, method, options, classes, source.
        arrays: names of all arrays.
        names: of those that the run wrote, a chunk of each for every batch that is done.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: something else than a store of maps.
    """

    def __init__(self, location: str | Path):
        self.location = str(location)
        self._files: Any = keyvalues(location)
        group = self._json("zarr.json")
        if group is None:
            raise FileNotFoundError(f"no store of maps at {self.location!r}: it holds no zarr.json")
        self.about: dict[str, Any] = group.get("attributes", {}).get("jaxcam")
        if not isinstance(self.about, dict):
            raise ValueError(f"{self.location!r} is no store of maps: its attributes do not name jaxcam")
        self.arrays = tuple(sorted(self._names(group)))
        self.names = tuple((group.get("consolidated_metadata") or {}).get("metadata") or ())
        for name in ("maps", "status", "path"):
            self._demand(name)
        self._open: dict[str, Any] = {}

    def __len__(self) -> int:
        """Records, whatever their status."""
        return self.array("status").shape[0]

    @property
    def batch(self) -> int:
        """Records in a chunk."""
        return self.array("maps").chunk_layout.read_chunk.shape[0]

    def array(self, name: str) -> Any:
        """An array of numbers as a `tensorstore.TensorStore`. Raises ValueError for one that is not there."""
        if name not in self._open:
            self._demand(name)
            spec = {"driver": "zarr3", "kvstore": (self._files / f"{name}/").spec().to_json()}
            self._open[name] = ts.open(spec, read=True, open=True).result()
        return self._open[name]

    def written(self, name: str) -> set[int]:
        """The numbers of the batches of which an array has a chunk."""
        return written(self._files, name)

    def check_written(self) -> None:
        """Raises ValueError where a batch is done and a chunk of it is not there."""
        if self.names and (gone := next(missing(self, self.written("status")), None)):
            raise ValueError(gone.in_words(self.location))

    def dtype(self, name: str) -> str:
        """An array's type, by zarr's name for it, such as `float32` or `string`."""
        about = self._json(f"{name}/zarr.json") or {}
        return about["data_type"] if isinstance(about.get("data_type"), str) else "other"

    def read(self, name: str, rows: slice | None = None) -> np.ndarray:
        """Rows of an array of numbers, all by default; what is not written yet is its fill value."""
        array = self.array(name)
        with named(self.location, name):
            return np.asarray((array if rows is None else array[rows]).read().result())

    def text(self, name: str) -> list[str]:
        """An array of strings, whole; "" where nothing is written yet."""
        self._demand(name)
        about = self._json(f"{name}/zarr.json") or {}
        if not _strings.is_text(about):
            codecs = [each["name"] for each in about["codecs"]]
            raise ValueError(f"{name!r} in {self.location!r} is no array of plain strings: {codecs}")
        count = about["shape"][0]
        size = about["chunk_grid"]["configuration"]["chunk_shape"][0]
        with named(self.location, name):
            return _strings.read(self._files, name, range(-(-count // size)), about)[:count]

    @cached_property
    def paths(self) -> list[str]:
        """Of each record: where its picture is in the source."""
        return self.text("path")

    def _names(self, group: dict[str, Any]) -> set[str]:
        """Of all arrays, those that others added too. A bucket, where a million chunks would be listed with them, has
        those that its group lists."""
        folder, ending = folder_of(self.location), "/zarr.json"
        if folder is not None:
            return {each.parent.name for each in folder.glob(f"*{ending}")}
        if listed := (group.get("consolidated_metadata") or {}).get("metadata"):
            return set(listed)
        files = (key.decode() for key in self._files.list().result())
        return {key.removesuffix(ending) for key in files if key.endswith(ending)}

    def _demand(self, name: str) -> None:
        if name not in self.arrays:
            raise ValueError(f"{self.location!r}: {unknown('array', name, self.arrays)}")

    def _json(self, key: str) -> dict | None:
        found = self._files.read(key).result()
        return json.loads(found.value) if found.state == "value" else None
