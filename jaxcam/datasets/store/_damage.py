"""Chunks that are damaged or missing, by batch and array."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Damage(NamedTuple):
    """A chunk that cannot be read, though its batch is done: "missing" or "damaged"."""

    batch: int
    array: str
    reason: str

    def __str__(self) -> str:
        return f"batch {self.batch}: the chunk of {self.array!r} is {self.reason}"

    def in_words(self, location: str) -> str:
        return f"{location!r} is damaged: {self}. {self.remedy}"

    @property
    def remedy(self) -> str:
        return f"Remove status/c/{self.batch} from the store, and the same `jaxcam run` makes the batch again"


@contextmanager
def named(location: str, array: str) -> Iterator[None]:
    """Turns what is said of a chunk that cannot be read into a ValueError that names the batch and the array."""
    try:
        yield
    except ValueError as error:
        found = re.search(rf"\b{re.escape(array)}/c/(\d+)", str(error))
        if found is None:
            raise
        raise ValueError(Damage(int(found[1]), array, reason(error)).in_words(location)) from error


def reason(error: ValueError) -> str:
    """ "missing" or "damaged". Raises the error where it is neither, but that the file cannot be read now."""
    if "os_error_code" in str(error):
        raise error
    return "missing" if "NOT_FOUND" in str(error) else "damaged"


def spread(numbers: Iterable[int], most: int) -> list[int]:
    """At most so many of them, evenly, the first and the last included."""
    ordered = sorted(numbers)
    if len(ordered) <= most:
        return ordered
    if most < 2:
        return ordered[:most]
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]
