"""Opening the store to write: a new one, or one that an earlier run began in the same way."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorstore as ts

from ._columns import Column
from ._differences import differences
from ._leftovers import sweep
from ._store import GROUP, keyvalues, open_store
from ._writer import Writer, create

WAIT = 300.0  # seconds for which the other processes wait for the first to create the store


def open_or_create(
    location: str,
    columns: Sequence[Column],
    attributes: Mapping[str, Any],
    *,
    batch: int,
    wait: bool,
    patience: float = WAIT,
) -> Writer:
    """The store at `location`; where there is none it is made, or with `wait` waited for.

    Of several processes that come at once one makes it. All open what is there then, and compare.

    Raises ValueError where something else is there, or a store that was made otherwise (the differences are named),
    or where nobody makes one.
    """
    kv = keyvalues(location)
    if wait:
        _wait_for(kv, location, patience)
    if not _is_there(kv):
        _check_empty(kv, location, columns)
        sweep(location, lambda name: True)
        create(location, columns, records=attributes["source"]["records"], batch=batch, attributes=attributes)
    store = open_store(location)
    found = differences(store.attributes, attributes)
    if found:
        raise ValueError(
            f"{location!r} was made with other settings: {'; '.join(found)}. Pass the same, or another store"
        )
    writer = Writer(store)
    writer.write_metadata()
    return writer


def _is_there(kv: ts.KvStore) -> bool:
    return kv.read(GROUP).result().state == "value"


def _check_empty(kv: ts.KvStore, location: str, columns: Sequence[Column]) -> None:
    """What a kill leaves of a store in the making may stay: the metadata of its arrays, as once was written first."""
    ours = re.compile(rf"({'|'.join(column.name for column in columns)})/zarr\.json")
    others = [
        name for key in kv.list().result() if not ours.fullmatch(name := key.decode("utf-8", "replace"))
    ]
    if others and not _is_there(kv):  # which another process may have made in the meantime
        raise ValueError(f"{location!r} is in use and is no store: it holds {others[0]!r}")


def _wait_for(kv: ts.KvStore, location: str, patience: float) -> None:
    until = time.monotonic() + patience
    while not _is_there(kv):
        if time.monotonic() > until:
            raise ValueError(f"no store at {location!r} after {patience:.0f} s: does process 0 run?")
        time.sleep(0.2)
