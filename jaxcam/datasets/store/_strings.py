"""One-dimensional arrays of text in zarr v3, which tensorstore does not write: metadata and chunks (vlen-utf8)."""

import struct
from collections.abc import Mapping, Sequence
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
        "codecs": [{"name": "vlen-utf8", "configuration": {}}, {"name": "crc32c"}],
        "dimension_names": ["record"],
        "attributes": {},
    }


def encode(texts: Sequence[str], chunk: int, about: Mapping[str, Any]) -> bytes:
    """A chunk: how many strings, then the length in bytes and the UTF-8 of each; filled up with "" to `chunk`. Its
    checksum follows, where the array's metadata `about` says so.

    A file's name may hold bytes that are not text: they are written as `\\udcff`.
    """
    pieces = [struct.pack("<I", chunk)]
    for text in [*texts, *[""] * (chunk - len(texts))]:
        raw = text.encode("utf-8", "backslashreplace")
        pieces += [struct.pack("<I", len(raw)), raw]
    encoded = b"".join(pieces)
    return encoded + struct.pack("<I", crc32c(encoded)) if is_checked(about) else encoded


def read(kv: ts.KvStore, name: str, chunks: range, about: Mapping[str, Any]) -> list[str]:
    """The strings of an array's chunks; "" where nothing is written yet.

    Raises ValueError for a chunk that is damaged; its text names the chunk's file.
    """
    size = about["chunk_grid"]["configuration"]["chunk_shape"][0]
    texts: list[str] = []
    for number, each in [(number, kv.read(f"{name}/c/{number}")) for number in chunks]:
        found = each.result()
        try:
            texts += decode(found.value, size, about) if found.state == "value" else [""] * size
        except ValueError as error:
            raise ValueError(f"{name}/c/{number}: {error}") from error
    return texts


def decode(chunk: bytes, size: int, about: Mapping[str, Any]) -> list[str]:
    """The `size` strings of a chunk. Raises ValueError for one that is damaged."""
    try:
        return _decode(chunk, size, about)
    except struct.error:
        raise ValueError("it is cut short") from None


def _decode(chunk: bytes, size: int, about: Mapping[str, Any]) -> list[str]:
    if is_checked(about):
        chunk, checksum = chunk[:-4], chunk[-4:]
        if struct.pack("<I", crc32c(chunk)) != checksum:
            raise ValueError("its checksum differs")
    (count,) = struct.unpack_from("<I", chunk)
    if count != size:
        raise ValueError(f"it has {count} strings instead of {size}")
    texts, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", chunk, at)
        if at + 4 + length > len(chunk):
            raise ValueError("it is cut short")
        texts.append(chunk[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return texts


def is_text(about: Mapping[str, Any]) -> bool:
    """Whether an array has the string format that is read here, with a checksum or, in older stores, without."""
    return about["data_type"] == "string" and [each["name"] for each in about["codecs"]] in _CODECS


def is_checked(about: Mapping[str, Any]) -> bool:
    return about["codecs"][-1]["name"] == "crc32c"


def crc32c(data: bytes) -> int:
    """The checksum of zarr's codec of that name: CRC-32 with Castagnoli's polynomial."""
    register = 0xFFFFFFFF
    for byte in data:
        register = _TABLE[(register ^ byte) & 255] ^ register >> 8
    return register ^ 0xFFFFFFFF


def _remainder(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value


_TABLE = [_remainder(byte) for byte in range(256)]
_CODECS = (["vlen-utf8"], ["vlen-utf8", "crc32c"])
