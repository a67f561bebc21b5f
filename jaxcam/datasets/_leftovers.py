"""What a killed process leaves of the files that it was writing."""

import re
from collections.abc import Callable, Iterable

from ._store import folder_of

_LOCK = ".__lock"


def sweep(location: str, mine: Callable[[str], bool]) -> int:
    """Removes the files that a killed process was writing, of those that are `mine` by their names in the store.

    tensorstore writes to NAME.__lock and renames it. It takes up one that it finds without emptying it, so that a
    shorter file would keep the end of the longer: they have to go before anything is written.
    """
    folder = folder_of(location)
    stale = [] if folder is None else list(folder.rglob(f"*{_LOCK}"))  # buckets have none
    stale = [path for path in stale if mine(path.relative_to(folder).as_posix().removesuffix(_LOCK))]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def belongs(batches: Iterable[int], process: int) -> Callable[[str], bool]:
    """Whether a file of the store is a chunk of these batches, or the process's own."""
    numbers = set(batches)

    def mine(name: str) -> bool:
        chunk = re.match(r"\w+/c/(\d+)(/|$)", name)
        return int(chunk[1]) in numbers if chunk else name == f"alive-{process}.json"

    return mine
