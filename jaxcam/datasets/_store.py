"""The store: a zarr v3 group, written batch by batch, whose chunks of `status` say which batches are done.

A batch of records is one chunk of every array. The chunk of `status` is written when all others are, so its presence
is the record of what is done, and whatever kills a process leaves nothing to repair.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import tensorstore as ts

from . import _strings
from ._columns import STATUS, Column
from ._errors import cannot_write


class Store:
    """A store that is open. Made by `create` and `open_store`.

    Attributes:
        location: its path or URL.
        attributes: how it was made, everything that is needed to make it again.
        names: of its arrays.
        kv: the files below it.
        records, batch: how many records there are, and how many make a batch, which is one chunk.
    """

    def __init__(self, location: str, kv: ts.KvStore, group: Mapping[str, Any]):
        self.location, self.attributes = location, group["attributes"]["jaxcam"]
        self.kv = kv
        self._layout = group["consolidated_metadata"]["metadata"]
        self.names = tuple(self._layout)
        self.records: int = self._layout[STATUS]["shape"][0]
        self.batch: int = self._layout[STATUS]["chunk_grid"]["configuration"]["chunk_shape"][0]
        self._arrays = {name: _open_array(kv, name) for name in self.names if not self._is_text(name)}

    @property
    def batches(self) -> int:
        return -(-self.records // self.batch)

    def done(self) -> set[int]:
        """The numbers of the batches that are complete."""
        prefix = f"{STATUS}/c/"
        keys = self.kv.list(ts.KvStore.KeyRange(prefix, f"{STATUS}/c0")).result()
        names = (key.decode().removeprefix(prefix) for key in keys)
        return {int(name) for name in names if name.isdecimal()}

    def write(self, number: int, rows: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Writes a batch: for every array its rows, `batch` of them, or fewer at the data set's end.

        Returns when all is written, `status` last.

        Raises OSError where it cannot be written; what was written before stays valid.
        """
        with cannot_write(self.location):
            writing = [self._write(name, number, rows[name]) for name in self.names if name != STATUS]
            for each in writing:
                each.result()
            self._write(STATUS, number, rows[STATUS]).result()

    def _write(self, name: str, number: int, rows: Any) -> ts.Future:
        if self._is_text(name):
            return self.kv.write(f"{name}/c/{number}", _strings.encode(rows, self.batch))
        start = number * self.batch
        return self._arrays[name][start : start + len(rows)].write(rows).commit

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole array, or of `maps`, which may be large, use `read`."""
        return self.read(name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start` to `stop` of an array; text as an array of objects."""
        stop = self.records if stop is None else min(stop, int(self.records))
        if not self._is_text(name):
            return self._arrays[name][start:stop].read().result()
        first, last = start // self.batch, -(-stop // self.batch)
        texts = _strings.read(self.kv, name, range(first, last), self.batch)
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
) -> Store:
    """A new store. The group's own metadata is written last: without it there is no store.

    Raises OSError where it cannot be written.
    """
    kv = keyvalues(location)
    with cannot_write(str(location)):
        layout = {}
        for column in columns:
            layout[column.name] = _create_array(kv, column, records=records, batch=batch)
        group = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"jaxcam": dict(attributes)},
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": layout},
        }
        kv.write("zarr.json", json.dumps(group, indent=1, allow_nan=False).encode()).result()
    return Store(str(location), kv, group)


def open_store(location: str | Path) -> Store:
    """Opens a store that `jaxcam run` made.

    Args:
        location: a folder, or a URL that tensorstore knows (`file://`, `gs://`, `s3://`).

    Raises ValueError where there is none.
    """
    kv = keyvalues(location)
    found = kv.read("zarr.json").result()
    if found.state != "value":
        raise ValueError(f"no store at {str(location)!r}")
    try:
        return Store(str(location), kv, json.loads(found.value))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
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


def folder_of(location: str | Path) -> Path | None:
    """The folder that a location names, or None where it is a bucket."""
    text = str(location)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return None if "://" in text else Path(text)


def _create_array(kv: ts.KvStore, column: Column, *, records: int, batch: int) -> dict[str, Any]:
    if column.dtype == "string":
        made = _strings.metadata(records=records, chunk=batch)
    else:
        made = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [records, *column.shape],
            "data_type": column.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [batch, *column.shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": column.fill,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
            ],
            "dimension_names": ["record", *column.axes],
            "attributes": {},
        }
    kv.write(f"{column.name}/zarr.json", json.dumps(made).encode()).result()
    return made


def _open_array(kv: ts.KvStore, name: str) -> ts.TensorStore:
    spec = {
        "driver": "zarr3",
        "kvstore": (kv / f"{name}/").spec().to_json(),
        "store_data_equal_to_fill_value": True,  # a file for every chunk: what is missing is not done
        "context": {"cache_pool": {"total_bytes_limit": 0}},
    }
    return ts.open(spec, open=True).result()
