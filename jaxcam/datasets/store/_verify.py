"""Finds chunks of a store that are damaged or missing."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import tensorstore as ts

from . import _strings
from ._columns import STATUS
from ._damage import Damage, reason, spread
from ._location import folder_of
from ._store import Store

LOOKED_AT = 64  # batches that are read whole where a run goes on, spread over those that are done


def find(store: Store, numbers: Collection[int]) -> list[Damage]:
    """What is seen of damage to these batches, which are done, without reading all: chunks that are not there (in a
    folder; a bucket would have to list them all), those of `status`, and all of some batches."""
    found = [*missing(store, numbers)] if folder_of(store.location) else []
    reading = {number: _begin(store, number, [STATUS]) for number in numbers}
    found += [damage for number, each in reading.items() for damage in _damaged(store, number, each)]
    whole = set(numbers) - {each.batch for each in found}
    return [*found, *read_whole(store, spread(whole, LOOKED_AT))]


def missing(store: Store, numbers: Iterable[int]) -> Iterator[Damage]:
    """Chunks of these batches, which are done, that are not there: by the names of files, without reading them."""
    numbers = sorted(numbers)
    for name in store.names:
        there = store.written(name)
        yield from (Damage(number, name, "missing") for number in numbers if number not in there)


def check_written(store: Store) -> None:
    """Raises ValueError where a batch is done and a chunk of it is not there."""
    if store.names and (gone := next(missing(store, store.done()), None)):
        raise ValueError(gone.in_words(store.location))


def read_whole(store: Store, numbers: Iterable[int]) -> Iterator[Damage]:
    """Reads every chunk of these batches, which are done, and yields those that are damaged or missing."""
    for number in numbers:
        yield from _damaged(store, number, _begin(store, number, store.names))


def _begin(store: Store, number: int, names: Iterable[str]) -> dict[str, ts.Future]:
    """Begins to read chunks of a batch."""
    rows = store.rows(number)
    return {
        name: store.kv.read(f"{name}/c/{number}")
        if store.dtype(name) == "string"
        else store.array(name, strict=True)[rows.start : rows.stop].read()
        for name in names
    }


def _damaged(store: Store, number: int, reading: Mapping[str, ts.Future]) -> Iterator[Damage]:
    for name, future in reading.items():
        try:
            found = future.result()
            if store.dtype(name) == "string":
                if found.state != "value":
                    raise ValueError("NOT_FOUND")
                _strings.decode(found.value, store.batch, store.about(name))
        except ValueError as error:
            yield Damage(number, name, reason(error))
