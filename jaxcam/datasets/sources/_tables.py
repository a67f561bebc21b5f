"""Rows of CSV, TSV, JSON lines and Parquet, each with its place in the file."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._errors import brief, foreign
from ...files._fields import BOXES, PATHS, TARGET, first, lacking

Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _delimited(path: Path) -> Rows:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            heading = [each.strip().lower() for each in next(reader, [])]
            _check_columns(path, heading)
            for row in filter(None, reader):
                if len(row) != len(heading):
                    raise ValueError(
                        f"{path}: line {reader.line_num}: {len(heading)} columns are named, the row has {len(row)}: "
                        f"{brief(row)}"
                    )
                # an empty field is none at all
                yield (
                    f"line {reader.line_num}",
                    {k: v for k, v in zip(heading, row, strict=True) if v.strip()},
                )
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: line {reader.line_num}: {error}") from error


def _json_lines(path: Path) -> Rows:
    with open(path, encoding="utf-8-sig") as file:
        try:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                with foreign(f"{path}: line {line} is not JSON"):
                    row = json.loads(text)
                if not isinstance(row, dict):
                    raise ValueError(
                        f"{path}: line {line} is not an object with 'path': {text.strip()[:80]!r}"
                    )
                if first(row, PATHS) is None:
                    raise ValueError(f"{path}: line {line}: {lacking('key', PATHS, row)}")
                yield f"line {line}", row
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error


def _parquet(path: Path) -> Rows:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet is read by the package pyarrow: pip install 'jaxcam[data]'") from error
    with foreign(f"{path} is not a Parquet file, or a damaged one"):
        file = pyarrow.parquet.ParquetFile(path)
        there = file.schema_arrow.names
    with file:
        _check_columns(path, [each.lower() for each in there])
        wanted = {each: each.lower() for each in there if each.lower() in (*PATHS, *TARGET, *BOXES)}
        count = 0
        groups = file.iter_batches(columns=list(wanted))
        while True:
            with foreign(f"{path} is damaged"):
                rows = group.to_pylist() if (group := next(groups, None)) is not None else None
            if rows is None:
                return
            for row in rows:
                count += 1
                yield f"row {count}", {wanted[name]: value for name, value in row.items()}


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if not set(columns) & set(PATHS):
        raise ValueError(f"{path}: {lacking('column', PATHS, columns)}")


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
