"""Opening a store of a stranger's making: what it says is checked before it is believed."""

import json
from pathlib import Path
from typing import Any

from ..._errors import foreign, unknown
from ...files._decode import MEMORY
from ._columns import KINDS, STATUS
from ._store import GROUP, MOST_RECORDS, Store, arrays_of, keyvalues, listed


def open_foreign(location: str | Path) -> Store:
    """Opens a store that a run, or anybody, wrote: arrays `maps`, `status`, `path` and more, one row a record.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: something else than a store of maps, or one that is damaged.
    """
    text, kv = str(location), keyvalues(location)
    found = kv.read(GROUP).result()
    if found.state != "value":
        raise FileNotFoundError(f"no store of maps at {text!r}: it holds no {GROUP}")
    with foreign(f"{text!r}: {GROUP} is damaged"):
        group = json.loads(found.value)
        if not isinstance(group, dict):
            raise ValueError("it holds no object")
    attributes = group.get("attributes")
    about = attributes.get("jaxcam") if isinstance(attributes, dict) else None
    if not isinstance(about, dict):
        raise ValueError(f"{text!r} is not a store of maps: its attributes do not name jaxcam")
    _check_about(text, about)
    arrays = arrays_of(text, kv, listed(group))
    for name in ("maps", STATUS, "path"):
        if name not in arrays:
            raise ValueError(f"{text!r}: {unknown('array', name, arrays)}")
    store = Store(text, kv, found.value, largest=MEMORY)
    if store.records > MOST_RECORDS:
        raise ValueError(
            f"{text!r} is damaged: it says {store.records} records, and up to {MOST_RECORDS} are read"
        )
    _check_shapes(store)
    return store


def _check_about(location: str, about: dict[str, Any]) -> None:
    """Raises ValueError for attributes of other types than a run writes."""
    texts = [about.get(key) for key in ("model", "method", "layer", "stored", "fit")]
    source, classes = about.get("source") or {}, about.get("classes") or []
    fine = all(each is None or isinstance(each, str) for each in texts) and isinstance(source, dict)
    if not (fine and isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
        raise ValueError(f"{location!r} is damaged: its attributes are not those of a run")


def _check_shapes(store: Store) -> None:
    """Raises ValueError for arrays that do not belong together: of other lengths, axes or types than a run's."""
    for name in KINDS.keys() & set(store.arrays):
        kinds, ranks = KINDS[name]
        if kinds == "T":
            continue
        array = store.array(name)
        kind = array.dtype.numpy_dtype.kind
        if kind not in kinds or array.ndim not in ranks or array.shape[0] != store.records:
            raise ValueError(
                f"{store.location!r} is damaged: {name!r} is of {array.dtype.name} and shape {array.shape}, "
                f"for {store.records} records"
            )
    targets = store.array("maps").shape[1 : -store.rank]
    if store.array("maps").ndim - store.rank not in (1, 2):
        raise ValueError(
            f"{store.location!r} is damaged: 'maps' has the shape {store.array('maps').shape}, for maps of rank "
            f"{store.rank}"
        )
    for name in ("target", "score", "probability"):
        if name in store.arrays and store.array(name).shape[1:] != targets:
            raise ValueError(f"{store.location!r} is damaged: {name!r} does not fit the maps")
