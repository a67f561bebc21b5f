"""Reads and writes orbax folders: a flat dict, torch's dotted names to arrays in torch's layout."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MARK = "_METADATA"  # the file that every orbax folder holds


def read_orbax(path: Path) -> dict[str, Any]:
    """The arrays as numpy's, whatever devices they were saved from; nested dicts under dotted names.

    Raises ValueError for a folder that orbax did not write or that is damaged.
    """
    import jax
    import orbax.checkpoint as ocp

    with _opened(path) as checkpointer:
        metadata = checkpointer.metadata(path.resolve()).item_metadata
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree)
        tree = checkpointer.restore(path.resolve(), restore_args=kinds)
    return _flat(tree)


def orbax_metadata(path: Path) -> dict[str, Any]:
    """What was saved beside the arrays. Raises ValueError as `read_orbax`."""
    with _opened(path) as checkpointer:
        return dict(checkpointer.metadata(path.resolve()).custom_metadata or {})


def write_orbax(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), dict(arrays), custom_metadata=dict(metadata))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A checkpointer for the folder `path`; whatever it raises becomes a ValueError."""
    import orbax.checkpoint as ocp

    if not (path / MARK).is_file():
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise ValueError(f"is a folder without orbax's {MARK}; it holds {inside}")
    with ocp.PyTreeCheckpointer() as checkpointer:
        try:
            yield checkpointer
        except Exception as error:  # orbax and tensorstore raise many kinds, none documented
            raise ValueError(f"orbax does not read it: {error}") from error


def _flat(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        flat.update(inner)
    return flat
