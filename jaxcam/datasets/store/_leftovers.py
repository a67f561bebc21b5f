"""What a killed process leaves of the files that it was writing."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ._location import folder_of

try:
    import fcntl
except ImportError:  # Windows, which does not remove what a process holds open
    fcntl = None

_LOCK = ".__lock"


def sweep(location: str, mine: Callable[[str], bool]) -> int:
    """Removes the files that a killed process was writing, of those that are `mine` by their names in the store.

    tensorstore writes to NAME.__lock and renames it. It takes up one that it finds without emptying it, so that a
    shorter file would keep the end of the longer: they have to go before anything is written. One that a living
    process holds stays.
    """
    folder = folder_of(location)
    if folder is None:  # a bucket has none
        return 0
    there = list(folder.rglob(f"*{_LOCK}"))
    ours = [path for path in there if mine(path.relative_to(folder).as_posix().removesuffix(_LOCK))]
    return sum(map(_remove, ours))


def _remove(path: Path) -> bool:
    """Removes a file unless a process holds its lock. Whoever waits for the lock finds that the file is gone, and makes
    another."""
    try:
        held = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError:  # gone already, or of another user
        return False
    try:
        if fcntl is not None:
            fcntl.flock(
                held, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # which of the two tensorstore takes is the system's
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            return True
    except OSError:
        return False
    finally:
        os.close(held)
    path.unlink(missing_ok=True)
    return True


def belongs(batches: Iterable[int], process: int) -> Callable[[str], bool]:
    """Whether a file of the store is a chunk of these batches, or the process's own."""
    numbers = set(batches)

    def mine(name: str) -> bool:
        chunk = re.match(r"\w+/c/(\d+)(/|$)", name)
        return int(chunk[1]) in numbers if chunk else name == f"alive-{process}.json"

    return mine
