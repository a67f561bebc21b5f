"""The classes that a data set gives its records, as classes of the model."""

from collections.abc import Callable, Sequence

import numpy as np

from .._labels import Labels as Names
from ._feed import Failed
from ._record import Record


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


def translation(
    given: Sequence[str] | None, names: Names | None, classes: int, *, needed: bool
) -> Callable[[int], int | None]:
    """The model's class for a label of the source: by the class's name, or by its number where no names are known or
    there are as many.

    Args:
        given: the source's names of classes; None: its labels are the model's classes.
        needed: labels are what is explained.

    Raises ValueError where the labels are needed and the names mean nothing to the model.
    """
    if given is None or (names is not None and list(given) == list(names.names)):
        return lambda label: label
    reason = f"the source has {len(given)} classes, the model {classes}"
    if names is not None:
        try:
            return [names.index(each) for each in given].__getitem__
        except ValueError as error:
            reason = str(error)
    if len(given) == classes:
        return lambda label: label
    if needed:
        raise ValueError(f"the source's classes are not the model's: {reason}")
    return lambda label: None
