"""The arrays of a store: their metadata, opening them, and which of their chunks are there."""

import json
from collections.abc import Mapping
from typing import Any

import tensorstore as ts

from . import _strings
from ._columns import Column


def describe(column: Column, *, records: int, batch: int) -> dict[str, Any]:
    """The metadata of an array."""
    if column.dtype == "string":
        return _strings.metadata(records=records, chunk=batch)
    return {
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
            {"name": "crc32c"},
        ],
        "dimension_names": ["record", *column.axes],
        "attributes": {},
    }


def describes(text: bytes, about: Mapping[str, Any]) -> bool:
    """Whether an array's own metadata says what the group says of it; its attributes are for others to add to."""
    try:
        there = json.loads(text)
    except ValueError:
        return False
    return isinstance(there, dict) and all(
        there.get(key) == about[key] for key in about if key != "attributes"
    )


def open_array(
    kv: ts.KvStore, name: str, about: Mapping[str, Any] | None, *, strict: bool = False
) -> ts.TensorStore:
    """An array of numbers by the group's metadata, or by its own; `strict`: to read a chunk that is not there is an
    error, not its fill value."""
    spec = {
        "driver": "zarr3",
        "kvstore": (kv / f"{name}/").spec().to_json(),
        "fill_missing_data_reads": not strict,
        "store_data_equal_to_fill_value": True,  # a file for every chunk: what is missing is not done
        "context": {"cache_pool": {"total_bytes_limit": 0}},
    }
    if about is None:
        return ts.open(spec, open=True).result()
    metadata = {key: value for key, value in about.items() if key != "attributes"}
    return ts.open({**spec, "metadata": metadata}, open=True, assume_metadata=True).result()


def written(kv: ts.KvStore, name: str) -> set[int]:
    """The numbers of the chunks of an array, along its axis of records."""
    prefix = f"{name}/c/"
    keys = kv.list(ts.KvStore.KeyRange(prefix, f"{name}/c0")).result()
    numbers = (key.decode("utf-8", "replace").removeprefix(prefix).partition("/")[0] for key in keys)
    return {int(number) for number in numbers if number.isdecimal()}
