"""From a batch's records and what the device made of them to the rows of the store."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._columns import DONE, FAILED, STATUS, Column
from ._feed import Failed
from ._record import Record

NOT_FINITE = "the model's output or the map is not finite"


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
    errors = [_reason(row, record, found["finite"], reasons) for row, record in enumerate(records)]
    failed = np.array([error != "" for error in errors])
    digests = [np.frombuffer(each.digest or bytes(32), np.uint8) for each in records]
    rows: dict[str, Any] = {
        "path": [each.path for each in records],
        "error": errors,
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


def _reason(row: int, record: Record | Failed, finite: np.ndarray, reasons: Mapping[int, str]) -> str:
    if isinstance(record, Failed):
        return record.reason or "unreadable"
    return reasons.get(row, "") or ("" if finite[row] else NOT_FINITE)
