"""Whether the records of a source are still those that a store was made from."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from ..sources._record import Source, Unreadable, guarded
from ..store._damage import spread
from ..store._store import Store

FILES = 256  # records that are compared, where their bytes can be hashed without decoding
OBJECTS = 16  # ... and where a record has to be made


def check_unchanged(store: Store, source: Source, batches: Iterable[int]) -> list[str]:
    """Compares the digests of records that are done with those in the store; returns notes.

    A bounded number of records is read: first those whose files were changed after the store was begun, as the file
    system says, then others, spread over all.

    Raises ValueError for a record that is another one now; it is named.
    """
    rows = [row for number in batches for row in store.rows(number)]
    most = FILES if "digest" in vars(type(source)) else OBJECTS
    touched = _touched(store, source, rows)
    looked_at = spread(touched, most)
    looked_at += spread(set(rows) - set(looked_at), most - len(looked_at))
    for row in looked_at:
        there = store.read("digest", row, row + 1)[0].tobytes()
        if any(there) and there != _digest(source, row):
            raise ValueError(
                f"record {row} of {source.location!r}, {source.name(row)!r}, has changed since it was explained into "
                f"{store.location!r}: its digest is another. Pass another store, or the pictures as they were"
            )
    if len(touched) > most:
        return [
            f"{len(touched):,} records were changed after the run began, as the file system says: {most} of them were "
            "compared, and are the same"
        ]
    return []


def _touched(store: Store, source: Source, rows: Sequence[int]) -> list[int]:
    changed = getattr(source, "changed", None)
    if changed is None:
        return []
    began = int(datetime.fromisoformat(store.attributes["started"]).timestamp())
    times = np.fromiter((changed(row) for row in rows), float, len(rows))
    return np.asarray(rows)[times >= began].tolist() if rows else []


def _digest(source: Source, row: int) -> bytes:
    """The digest of a record; b"" if it can no longer be read."""
    digest = getattr(source, "digest", None)
    try:
        with guarded():
            return source[row].digest if digest is None else digest(row)
    except Unreadable as error:
        return error.digest
