"""The classes that a data set gives its records, as classes of the model."""

from collections.abc import Callable, Sequence

import numpy as np

from ...files._labels import Labels as Names
from ..sources._record import Record, Source, Unreadable, guarded
from ..store._damage import spread
from ._feed import Failed

LOOKED_AT = 16  # records that are read for a label, of a source that has to read them


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

    def check(self, source: Source) -> None:
        """Raises ValueError where labels are what is explained and no record has one; of a source that cannot say so
        without reading, where none of some records has one."""
        if not self._needed:
            return
        known = getattr(source, "labels", lambda: None)()
        looked_at = range(len(source)) if known is not None else spread(range(len(source)), LOOKED_AT)
        given = list(known) if known is not None else [_label_of(source, i) for i in looked_at]
        there = [each for each in given if each is not None]
        which = "no record" if known is not None else f"none of {len(given)} records"
        if not there:
            raise ValueError(
                f"{which} of {source.location!r} names a class to explain: labels come from folders of classes, a "
                "column `target` or labels=; or explain top-1"
            )
        classes = {self._translate(each) for each in dict.fromkeys(there)}
        if not any(each is not None and 0 <= each < self._classes for each in classes):
            raise ValueError(
                f"{which} of {source.location!r} names a class of the model, 0 to {self._classes - 1}: the first "
                f"names {there[0]}"
            )


def labels_of(source: Source, names: Names | None, classes: int, *, needed: bool) -> Labels:
    """How the labels of a source are read for a model with so many classes, of these names."""
    return Labels(translation(source.classes, names, classes, needed=needed), classes, needed=needed)


def _label_of(source: Source, i: int) -> int | None:
    try:
        with guarded():
            return source[i].label
    except Unreadable:
        return None


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
