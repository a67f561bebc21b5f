"""Reads and writes orbax folders: a flat dict, torch's dotted names to arrays in torch's layout."""

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ._damage import DIMENSIONS, NAMES, Damaged, largest, parsing, short

MARK = "_METADATA"  # the file that every orbax folder holds


def read_orbax(path: Path) -> dict[str, Any]:
    """The arrays as numpy's, whatever devices they were saved from; nested dicts under dotted names.

    Raises ValueError for a folder that orbax did not write, that is damaged, or that claims arrays which are much
    larger than its files.
    """
    import jax
    import orbax.checkpoint as ocp

    size = _check(path)
    with _opened() as checkpointer:
        metadata = checkpointer.metadata(path.resolve()).item_metadata.tree
    _check_arrays(_flat(metadata), size)
    with _opened() as checkpointer:
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
        tree = checkpointer.restore(path.resolve(), restore_args=kinds)
    return _flat(tree)


def orbax_metadata(path: Path) -> dict[str, Any]:
    """What was saved beside the arrays. Raises ValueError as `read_orbax`."""
    _check(path)
    with _opened() as checkpointer:
        return dict(checkpointer.metadata(path.resolve()).custom_metadata or {})


def write_orbax(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), dict(arrays), custom_metadata=dict(metadata))


@contextmanager
def _opened() -> Iterator[Any]:
    """A checkpointer; whatever it raises becomes Damaged. Only its calls belong inside."""
    import orbax.checkpoint as ocp

    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            yield checkpointer
    except MemoryError:
        raise
    except Exception as error:  # orbax and tensorstore raise many kinds, none documented
        raise Damaged(f"orbax does not read it: {short(error)}") from error


def _check(path: Path) -> int:
    """The number of bytes in a folder of files alone. Raises ValueError where it is not an orbax folder."""
    if not (path / MARK).is_file():
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise ValueError(f"is a folder without orbax's {MARK}; it holds {short(inside)}")
    size = 0
    for folder, folders, files in os.walk(path):
        for name in files + folders:
            found = os.stat(os.path.join(folder, name))
            if not stat.S_ISREG(found.st_mode) and (
                name in files or os.path.islink(os.path.join(folder, name))
            ):
                raise ValueError(
                    f"refused: {name} in it is not a regular file but a link to a folder, a named pipe or a device"
                )
            size += found.st_size
    with parsing(f"its {MARK}"):
        names = json.loads((path / MARK).read_bytes())["tree_metadata"]
        deepest = max((len(each["key_metadata"]) for each in names.values()), default=0)
    if len(names) > NAMES or deepest > DIMENSIONS:
        raise ValueError(f"refused: it holds {len(names)} arrays, {deepest} dicts deep")
    return size


def _check_arrays(arrays: Mapping[str, Any], size: int) -> None:
    total = 0
    for key, each in arrays.items():
        shape, dtype = getattr(each, "shape", None), getattr(each, "dtype", None)
        if shape is None or dtype is None:
            raise ValueError(f"holds a {type(each).__name__} under {short(key)!r} where an array should be")
        # a chunk is decompressed whole, however little of it is an array
        chunk = getattr(each.storage, "chunk_shape", None) or ()
        total += max(math.prod(shape), math.prod(chunk)) * np.dtype(dtype).itemsize
    if total > largest(size):
        raise ValueError(f"refused: its arrays would take {total} bytes, and its files have {size}")


def _flat(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        flat.update(inner)
    return flat
