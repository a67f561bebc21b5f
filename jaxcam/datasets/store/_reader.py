"""Reads a store of maps, also one whose run goes on, with arrays that others have added to it."""

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from ..._errors import foreign, unknown
from ...files._decode import MEMORY
from . import _strings
from ._damage import missing, named
from ._layout import written
from ._location import folder_of
from ._store import keyvalues

MOST_RECORDS = 20_000_000  # whose figures fit in memory

# Kinds of types, and numbers of axes, of the arrays that a run writes.
_ARRAYS = {
    "status": ("iu", (1,)),
    "maps": ("fu", (3, 4)),
    "target": ("iu", (1, 2)),
    "score": ("f", (1, 2)),
    "probability": ("f", (1, 2)),
    "predicted": ("iu", (1,)),
    "label": ("iu", (1,)),
    "top_class": ("iu", (2,)),
    "top_logit": ("f", (2,)),
    "digest": ("u", (2,)),
}


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
        self._files = keyvalues(location)
        group = self._json("zarr.json")
        if group is None:
            raise FileNotFoundError(f"no store of maps at {self.location!r}: it holds no zarr.json")
        attributes = group.get("attributes")
        about = attributes.get("jaxcam") if isinstance(attributes, dict) else None
        if not isinstance(about, dict):
            raise ValueError(f"{self.location!r} is no store of maps: its attributes do not name jaxcam")
        self.about: dict[str, Any] = about
        self._check_about()
        self.arrays = tuple(sorted(self._names(group)))
        self._open: dict[str, Any] = {}
        consolidated = group.get("consolidated_metadata")
        listed = consolidated.get("metadata") if isinstance(consolidated, dict) else None
        self.names = tuple(listed) if isinstance(listed, dict) else ()
        for name in ("maps", "status", "path"):
            self._demand(name)
        if len(self) > MOST_RECORDS:
            raise ValueError(f"{self.location!r} says {len(self)} records: up to {MOST_RECORDS} are read")
        self._check_shapes()

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
            with foreign(f"{self.location!r}: {name!r} is damaged"):
                array = ts.open(spec, read=True, open=True).result()
                chunk = array.chunk_layout.read_chunk.shape or ()
                size = math.prod(side or 1 for side in chunk) * array.dtype.numpy_dtype.itemsize
            if not array.shape or size > MEMORY:
                raise ValueError(
                    f"{self.location!r}: {name!r} has the shape {array.shape}, in chunks of {chunk}"
                )
            self._open[name] = array
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
        with named(self.location, name), foreign(f"{self.location!r}: {name!r} is damaged"):
            return np.asarray((array if rows is None else array[rows]).read().result())

    def text(self, name: str) -> list[str]:
        """An array of strings, whole; "" where nothing is written yet."""
        self._demand(name)
        about = self._json(f"{name}/zarr.json") or {}
        with foreign(f"{self.location!r}: {name!r} is damaged"):
            plain, codecs = _strings.is_text(about), [each["name"] for each in about["codecs"]]
            (count,) = map(int, about["shape"])
            (size,) = map(int, about["chunk_grid"]["configuration"]["chunk_shape"])
        if not plain:
            raise ValueError(f"{name!r} in {self.location!r} is no array of plain strings: {codecs}")
        if count != len(self) or not 1 <= size <= MOST_RECORDS:
            raise ValueError(
                f"{self.location!r}: {name!r} has {count} rows in chunks of {size}, not {len(self)}"
            )
        with named(self.location, name), foreign(f"{self.location!r}: {name!r} is damaged"):
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
        consolidated = group.get("consolidated_metadata")
        listed = consolidated.get("metadata") if isinstance(consolidated, dict) else None
        if isinstance(listed, dict) and listed:
            return set(listed)
        files = (key.decode() for key in self._files.list().result())
        return {key.removesuffix(ending) for key in files if key.endswith(ending)}

    def _demand(self, name: str) -> None:
        if name not in self.arrays:
            raise ValueError(f"{self.location!r}: {unknown('array', name, self.arrays)}")

    def _json(self, key: str) -> dict | None:
        found = self._files.read(key).result()
        if found.state != "value":
            return None
        with foreign(f"{self.location!r}: {key} is damaged"):
            value = json.loads(found.value)
        if not isinstance(value, dict):
            raise ValueError(f"{self.location!r}: {key} is damaged: it holds no object")
        return value

    def _check_about(self) -> None:
        """Raises ValueError for attributes of other types than a run writes."""
        texts = [self.about.get(key) for key in ("model", "method", "layer", "stored", "fit")]
        source, classes = self.about.get("source") or {}, self.about.get("classes") or []
        fine = all(each is None or isinstance(each, str) for each in texts) and isinstance(source, dict)
        if not (fine and isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
            raise ValueError(f"{self.location!r} is damaged: its attributes are not those of a run")

    def _check_shapes(self) -> None:
        """Raises ValueError for arrays that do not belong together: of other lengths, axes or types than a run's."""
        for name, (kinds, ranks) in _ARRAYS.items():
            if name in self.arrays:
                array = self.array(name)
                kind = array.dtype.numpy_dtype.kind
                if kind not in kinds or array.ndim not in ranks or array.shape[0] != len(self):
                    raise ValueError(
                        f"{self.location!r} is damaged: {name!r} is of {array.dtype.name} and shape {array.shape}, "
                        f"for {len(self)} records"
                    )
        targets = self.array("maps").shape[1:-2]
        for name in ("target", "score", "probability"):
            if name in self.arrays and self.array(name).shape[1:] != targets:
                raise ValueError(f"{self.location!r} is damaged: {name!r} does not fit the maps")
