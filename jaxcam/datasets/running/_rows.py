"""Rows of the store, made from a batch's records and the device's results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..sources._record import Record
from ..store._columns import DONE, FAILED, STATUS, Column
from ._feed import Failed

REASONS = (
    "",
    "the model's output is not finite",
    "the map is not finite: the layer's activation or gradient holds NaN or infinity",
    "the map holds values that float16 does not: keep it as float32",
)


def rows_of(
    columns: Sequence[Column],
    records: Sequence[Record | Failed],
    found: Mapping[str, np.ndarray],
    labels: np.ndarray,
    reasons: Mapping[int, str],
) -> dict[str, Any]:
    """The rows of every array, one for each record: those of records that failed hold the fill values.

    Args:
        found: what `compute` gives, for at least as many images as there are records.
        labels: the records' own classes, -1 where there is none.
        reasons: why records fail that could be read, by row.
    """
    count = len(records)
    errors = [_reason(row, record, found["problem"], reasons) for row, record in enumerate(records)]
    failed = np.array([error != "" for error in errors])
    targets = found["target"].reshape(len(found["target"]), -1)
    notes = ["" if failed[row] else _note(found["zero"][row], targets[row]) for row in range(count)]
    digests = [np.frombuffer(each.digest or bytes(32), np.uint8) for each in records]
    rows: dict[str, Any] = {
        "path": [each.path for each in records],
        "error": errors,
        "note": notes,
        "digest": np.stack(digests),
        "label": labels[:count],
        STATUS: np.where(failed, FAILED, DONE).astype(np.uint8),
    }
    for column in columns:
        if column.name not in rows:
            values = np.array(found[column.name][:count])
            values[failed] = np.nan if column.fill == "NaN" else column.fill
            rows[column.name] = values
    return rows


def _reason(row: int, record: Record | Failed, problem: np.ndarray, reasons: Mapping[int, str]) -> str:
    if isinstance(record, Failed):
        return record.reason or "unreadable"
    return reasons.get(row, "") or REASONS[problem[row]]


def _note(zero: np.ndarray, targets: np.ndarray) -> str:
    """The note that says which classes have maps that are zero everywhere."""
    if not zero.any():
        return ""
    if zero.size == 1:
        return "the map is zero everywhere: the score does not depend on the layer's map"
    return f"the maps of these classes are zero everywhere: {', '.join(map(str, targets[zero].tolist()))}"
