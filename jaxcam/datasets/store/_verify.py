"""Looking for chunks of a store that are damaged or missing."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ._columns import STATUS
from ._damage import Damage, missing, reason, spread
from ._location import folder_of
from ._store import Store

LOOKED_AT = 64  # batches that are read whole where a run goes on, spread over those that are done


def find(store: Store, numbers: Collection[int]) -> list[Damage]:
    """What is seen of damage to these batches, which are done, without reading all: chunks that are not there (in a
    folder; a bucket would have to list them all), those of `status`, and all of some batches."""
    found = [*missing(store, numbers)] if folder_of(store.location) else []
    reading = {number: store.reading(number, [STATUS]) for number in numbers}
    found += [damage for number, each in reading.items() for damage in _damaged(store, number, each)]
    whole = set(numbers) - {each.batch for each in found}
    return [*found, *read_whole(store, spread(whole, LOOKED_AT))]


def read_whole(store: Store, numbers: Iterable[int]) -> Iterator[Damage]:
    """Reads every chunk of these batches, which are done, and yields those that are damaged or missing."""
    for number in numbers:
        yield from _damaged(store, number, store.reading(number, store.names))


def _damaged(store: Store, number: int, reading: Mapping[str, Any]) -> Iterator[Damage]:
    for name, future in reading.items():
        try:
            store.decoded(name, future.result())
        except ValueError as error:
            yield Damage(number, name, reason(error))
