"""Data of every record and store as JSON, from which the page sorts, filters and draws."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..store._columns import DONE
from ..store._store import Store
from ._budget import base64
from ._data import Scan
from ._maps import agreement

ABSENT = 3  # the status of a record that a store does not have
FAILURES = 500  # in the page's table; it says how many there are


def match(stores: Sequence[Store]) -> tuple[list[str], np.ndarray]:
    """Records by path, in the order of the first store: paths, and (stores, records) rows, -1 for none.

    A path that a store holds twice is two records: the first matches the first of the other stores. Records
    whose path is not written yet are left out.
    """
    index: dict[tuple[str, int], int] = {}
    places: list[list[tuple[int, int]]] = []
    for store in stores:
        seen: dict[str, int] = {}
        found = []
        for row, path in enumerate(store.paths):
            if path:
                again = seen[path] = seen.get(path, -1) + 1
                found.append((index.setdefault((path, again), len(index)), row))
        places.append(found)
    table = np.full((len(stores), len(index)), -1, np.int64)
    for number, found in enumerate(places):
        for record, row in found:
            table[number, record] = row
    return [path for path, _ in index], table


def rows(scans: Sequence[Scan], table: np.ndarray, paths: Sequence[str]) -> dict[str, Any]:
    """Everything but pictures and maps, for the records of `table` (stores, records)."""
    failures = [
        (scan.store.paths[row], number, reason)
        for number, scan in enumerate(scans)
        for row, reason in scan.errors.items()
    ]
    stores = [_store(scan, at, name) for scan, at, name in zip(scans, table, names(scans), strict=True)]
    return {
        "paths": list(paths),
        "row": table[0].tolist(),
        "label": _labels(scans, table),
        "agreement": _agreement(scans, table),
        "stores": stores,
        "classes": _classes(scans),
        "failures": failures[:FAILURES],
        "failed": len(failures),
    }


def names(scans: Sequence[Scan]) -> list[str]:
    """What tells the stores apart, in the fewest words: methods, then with models and layers, then files."""
    abouts = [scan.store.attributes for scan in scans]
    for keys in (("method",), ("method", "model"), ("method", "model", "layer")):
        found = [" ".join(str(about.get(key) or "?") for key in keys) for about in abouts]
        if len(set(found)) == len(found):
            return found
    files = [Path(scan.store.location.rstrip("/")).stem for scan in scans]
    return files if len(set(files)) == len(files) else [scan.store.location for scan in scans]


def _store(scan: Scan, at: np.ndarray, name: str) -> dict[str, Any]:
    means = scan.mean_maps()
    predicted, targets = _pick(scan.columns.get("predicted"), at), _pick(scan.columns["target"], at)
    done = np.where((at >= 0) & (scan.columns["status"][at] == DONE), at, -1)
    return {
        "name": name,
        "location": scan.store.location,
        "about": {key: value for key, value in scan.store.attributes.items() if key != "classes"},
        "map": means["size"],
        "figures": scan.figures(),
        "mean": means["all"] and base64(means["all"]),
        "means": [(each, count, base64(data)) for each, count, data in means["classes"]],
        "status": np.where(at < 0, ABSENT, scan.columns["status"][at]).tolist(),
        "predicted": None if predicted is None else predicted.tolist(),
        "target": None if targets is None else targets.T.tolist(),
        "values": {each: _numbers(_pick(scan.columns[each], done)) for each in scan.values},
        "errors": {record: scan.errors[row] for record, row in enumerate(at.tolist()) if row in scan.errors},
    }


def _pick(column: np.ndarray | None, at: np.ndarray) -> np.ndarray | None:
    """Rows `at` of a column; -1, or NaN, where a row is -1."""
    if column is None:
        return None
    picked = column[at].copy()
    picked[at < 0] = np.nan if column.dtype.kind == "f" else -1
    return picked


def _numbers(column: np.ndarray | None) -> list[list[float | None]]:
    """(N, T) -> T lists of N numbers of five digits, null for NaN."""
    if column is None:
        return []
    return [
        [float(f"{each:.5g}") if np.isfinite(each) else None for each in target]
        for target in column.T.tolist()
    ]


def _agreement(scans: Sequence[Scan], table: np.ndarray) -> list[float | None] | None:
    """The mean correlation of each record's maps, over pairs of stores; none for a single store."""
    if len(scans) < 2:
        return None
    found: list[float | None] = []
    for at in table.T.tolist():
        maps = [scan.maps[row][0] for scan, row in zip(scans, at, strict=True) if row in scan.maps]
        values = [agreement(one, other) for one, other in combinations(maps, 2)]
        mean = float(np.mean(values)) if values else np.nan
        found.append(round(mean, 4) if np.isfinite(mean) else None)
    return found


def _labels(scans: Sequence[Scan], table: np.ndarray) -> list[int] | None:
    """The label of each record, from the first store that has one."""
    picked = [_pick(scan.columns.get("label"), at) for scan, at in zip(scans, table, strict=True)]
    labels = np.full(table.shape[1], -1)
    for each in picked:
        labels = labels if each is None else np.where(labels >= 0, labels, each)
    return labels.tolist() if (labels >= 0).any() else None


def _classes(scans: Sequence[Scan]) -> dict[int, str]:
    """Names by class. Raises ValueError where two stores name them differently."""
    lists = [each.store.attributes["classes"] for each in scans if each.store.attributes.get("classes")]
    if any(each != lists[0] for each in lists):
        raise ValueError("the stores name their classes differently: they cannot stand side by side")
    return dict(enumerate(lists[0])) if lists else {}
