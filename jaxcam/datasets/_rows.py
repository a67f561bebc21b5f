"""From a batch's records and what the device made of them to the rows of the store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._columns import DONE, FAILED, STATUS, Column
from ._feed import Failed
from ._record import Record

NOT_FINITE = "the model's output or the map is not finite"


class Labels:
    """The model's class that a record's own label stands for."""

    def __init__(self, translate: Callable[[int], int | None], classes: int, *, needed: bool):
        self._translate, self._classes, self._needed = translate, classes, needed

    def of(self, records: Sequence[Record | Failed], length: int) -> tuple[np.ndarray, dict[int, str]]:
        """Classes `(length,)`, -1 where there is none; and, if labels are what is explained, why a record has none."""
        classes = np.full(length, -1, np.int32)
        reasons: dict[int, str] = {}
        for row, record in enumerate(records):
            if isinstance(record, Failed):
                continue
            label = None if record.label is None else self._translate(record.label)
            if label is not None and 0 <= label < self._classes:
                classes[row] = label
            elif self._needed:
                reasons[row] = (
                    "its source names no class to explain"
                    if label is None
                    else f"no class {label}: the model has {self._classes} classes, 0 to {self._classes - 1}"
                )
        return classes, reasons


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
