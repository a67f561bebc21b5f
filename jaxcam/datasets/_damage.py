"""Chunks that are damaged or missing, by batch and array."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._reader import Reader
    from ._store import Store

LOOKED_AT = 64  # batches that are read whole where a run goes on, spread over those that are done


class Damage(NamedTuple):
    """A chunk that cannot be read, though its batch is done, and why: "missing", or what its checksum or codec says."""

    batch: int
    array: str
    reason: str

    def __str__(self) -> str:
        return f"batch {self.batch}: the chunk of {self.array!r} is {self.reason}"


@contextmanager
def named(location: str, array: str) -> Iterator[None]:
    """Turns what is said of a chunk that cannot be read into a ValueError that names the batch and the array."""
    try:
        yield
    except ValueError as error:
        found = re.search(rf"\b{re.escape(array)}/c/(\d+)", str(error))
        if found is None:
            raise
        damage = Damage(int(found[1]), array, reason(error))
        raise ValueError(f"{location!r} is damaged: {damage}. The same `jaxcam run` makes it again") from error


def reason(error: ValueError) -> str:
    text = str(error)
    if "NOT_FOUND" in text:
        return "missing"
    text = re.sub(r"^[A-Z_]+: (Error reading [^:]*: )?", "", text).partition("; at ")[0].partition(" [")[0]
    return f"damaged ({text.rpartition('/')[2] if '/c/' in text else text})"


def read_whole(store: "Store", numbers: Iterable[int]) -> Iterator[Damage]:
    """Reads every chunk of these batches, which are done, and yields those that are damaged or missing."""
    for number in numbers:
        for name, future in store.reading(number).items():
            try:
                store.decoded(name, future.result())
            except ValueError as error:
                yield Damage(number, name, reason(error))


def missing(store: "Store | Reader", numbers: Iterable[int]) -> Iterator[Damage]:
    """Chunks of these batches, which are done, that are not there: by the names of files, without reading them."""
    numbers = sorted(numbers)
    for name in store.names:
        there = store.written(name)
        yield from (Damage(number, name, "missing") for number in numbers if number not in there)


def spread(numbers: Iterable[int], most: int) -> list[int]:
    """At most so many of them, evenly, the first and the last included."""
    ordered = sorted(numbers)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]
