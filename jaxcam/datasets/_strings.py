"""One-dimensional arrays of text in zarr v3, which tensorstore does not write: metadata and chunks (vlen-utf8)."""

import struct
from collections.abc import Sequence
from typing import Any

import tensorstore as ts


def metadata(*, records: int, chunk: int) -> dict[str, Any]:
    """The `zarr.json` of an array `(records,)` of strings, `chunk` of them a file, "" where nothing is written."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [records],
        "data_type": "string",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "",
        "codecs": [{"name": "vlen-utf8", "configuration": {}}],
        "dimension_names": ["record"],
        "attributes": {},
    }


def encode(texts: Sequence[str], chunk: int) -> bytes:
    """A chunk: how many strings, then the length in bytes and the UTF-8 of each; filled up with "" to `chunk`.

    A file's name may hold bytes that are no text: they are written as `\\udcff`.
    """
    pieces = [struct.pack("<I", chunk)]
    for text in [*texts, *[""] * (chunk - len(texts))]:
        raw = text.encode("utf-8", "backslashreplace")
        pieces += [struct.pack("<I", len(raw)), raw]
    return b"".join(pieces)


def read(kv: ts.KvStore, name: str, chunks: range, size: int) -> list[str]:
    """The strings of an array's chunks, `size` each; "" where nothing is written yet."""
    texts: list[str] = []
    for each in [kv.read(f"{name}/c/{number}") for number in chunks]:
        found = each.result()
        texts += decode(found.value) if found.state == "value" else [""] * size
    return texts


def decode(chunk: bytes) -> list[str]:
    """The strings of a chunk."""
    (count,) = struct.unpack_from("<I", chunk)
    texts, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", chunk, at)
        texts.append(chunk[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return texts
