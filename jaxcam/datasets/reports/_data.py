"""Data of one store for a report: a row for each record, small maps of those shown, statistics of all."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._display import display
from ..store._columns import DONE, FAILED, KINDS
from ..store._store import Store
from ..store._verify import check_written
from ._flat import flat
from ._maps import bytes8, entropy, shrink, shrink_space

CLASSES = 120  # mean maps of single classes: those of the most frequent
BINS = 30
CELLS = 28  # longest side of the signal or volume whose entropy is taken


@dataclass(kw_only=True)
class Scan:
    """N records with T targets each, read once from the store's first record to its last.

    Attributes:
        columns: values of each record: (N,) status, predicted and label; (N, T) target, score, probability,
            `entropy` of the small map, and (N, 1) or (N, T) any further floats that the store holds.
        errors: why a record failed, by row.
        maps: of the records that were asked for, by row: uint8 (T, h, w), `flat`.
        sums, counts: over all maps of a class, by class: float (h, w), and how many.
    """

    store: Store
    columns: dict[str, np.ndarray]
    errors: dict[int, str] = field(default_factory=dict)
    maps: dict[int, np.ndarray] = field(default_factory=dict)
    sums: dict[int, np.ndarray] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        """The columns of numbers that records can be sorted by."""
        return [name for name, column in self.columns.items() if column.dtype.kind == "f"]

    @property
    def correct(self) -> np.ndarray | None:
        """(N,) whether the predicted class is the label, where both are known: float, NaN elsewhere."""
        if "label" not in self.columns or "predicted" not in self.columns:
            return None
        label, predicted = self.columns["label"], self.columns["predicted"]
        known = (label >= 0) & (self.columns["status"] == DONE)
        return np.where(known, predicted == label, np.nan)

    def figures(self) -> dict[str, Any]:
        """Counts, means with standard errors and histograms; of several targets, the values of the first."""
        status = self.columns["status"]
        done, correct = status == DONE, self.correct
        figures: dict[str, Any] = {
            "total": len(status),
            "done": int(done.sum()),
            "failed": int((status == FAILED).sum()),
            "means": {},
            "histograms": {},
        }
        for name in self.values:
            column = self.columns[name][done, 0]
            figures["means"][name] = mean(column)
            figures["histograms"][name] = histogram(column, None if correct is None else correct[done])
        if correct is not None:
            figures["accuracy"] = mean(correct)
        return figures

    def mean_maps(self) -> dict[str, Any]:
        """The mean of all maps, and of classes with several, the most frequent: (class, maps, (h, w) as bytes)."""
        if not self.sums:
            return {"size": (1, 1), "all": None, "classes": []}
        overall = np.sum(list(self.sums.values()), axis=0) / sum(self.counts.values())
        several = (each for each, count in self.counts.items() if count > 1)
        often = sorted(several, key=lambda each: (-self.counts[each], each))[:CLASSES]
        means = [(each, self.counts[each], bytes8(self.sums[each] / self.counts[each])) for each in often]
        return {
            "size": overall.shape,
            "all": bytes8(overall).tobytes(),
            "classes": [(each, count, map8.tobytes()) for each, count, map8 in means],
        }


def scan(store: Store, *, keep: Collection[int], edge: int) -> Scan:
    """Reads a store in one pass, a few chunks in memory at a time.

    Args:
        keep: rows whose maps are kept.
        edge: longest side of the maps that are kept and of the mean maps.
    """
    check_written(store)
    # Read the columns of numbers whole.
    columns = {"status": store.read("status")}
    for name in ("target", "score", "probability"):
        columns[name] = _two(store.read(name))
    columns |= {name: store.read(name) for name in ("predicted", "label") if name in store.arrays}
    columns["entropy"] = np.full(columns["target"].shape, np.nan, np.float32)
    for name in store.arrays:
        if name not in KINDS and store.dtype(name).startswith("float"):
            array = store.read(name)
            if array.shape in ((store.records,), columns["target"].shape):
                columns[name] = _two(array).astype(np.float32)
    found = Scan(store=store, columns=columns)
    reasons = store.read("error").tolist() if "error" in store.arrays else []
    for row in np.flatnonzero(columns["status"] == FAILED).tolist():
        found.errors[row] = (reasons[row] if reasons else "") or "failed, no reason given"
    # Read the maps a chunk at a time.
    keep, raw = frozenset(keep), store.attributes.get("stored") == "raw"
    step = store.chunk("maps")
    for start in range(0, store.records, step):
        rows = slice(start, start + step)
        done = np.flatnonzero(columns["status"][rows] == DONE)
        if not len(done):
            continue
        shown = _shown(store.read("maps", start, start + step)[done], raw, store.rank)
        small = shrink(flat(shown, store.rank), edge)
        cells = small if store.rank == 2 else shrink_space(shown, CELLS, store.rank)
        columns["entropy"][start + done] = entropy(cells, store.rank)
        for row, maps in zip((start + done).tolist(), small, strict=True):
            if row in keep:
                found.maps[row] = bytes8(maps)
            for target, each in zip(columns["target"][row].tolist(), maps, strict=True):
                found.sums[target] = found.sums.get(target, 0) + each
                found.counts[target] = found.counts.get(target, 0) + 1
    return found


def _two(column: np.ndarray) -> np.ndarray:
    """The array as (N, T): the axis is added where each record has one target."""
    return column if column.ndim == 2 else column[:, None]


def _shown(maps: np.ndarray, raw: bool, rank: int) -> np.ndarray:
    """Maps as they are displayed: (n, T, *space) float32 in [0, 1], without NaN."""
    maps = maps.astype(np.float32) if maps.dtype != np.uint8 else maps / np.float32(255)
    maps = maps if maps.ndim == rank + 2 else maps[:, None]
    return np.asarray(display(maps, rank=rank)) if raw else np.nan_to_num(maps, posinf=1).clip(0, 1)


def mean(column: np.ndarray) -> tuple[float, float, int] | None:
    """Mean, standard error and number of the finite values; None where no value is finite."""
    good = column[np.isfinite(column)].astype(np.float64)
    if not good.size:
        return None
    spread = float(good.std(ddof=1) / np.sqrt(good.size)) if good.size > 1 else 0.0
    return float(good.mean()), spread, good.size


def histogram(column: np.ndarray, correct: np.ndarray | None) -> dict[str, Any] | None:
    """Counts in equal bins of the values, and of those among them whose prediction is wrong, if that is known."""
    good = np.isfinite(column)
    if not good.any():
        return None
    span = (float(column[good].min()), float(column[good].max()))
    counts, edges = np.histogram(column[good], BINS, range=span)
    found: dict[str, Any] = {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist()}
    if correct is not None:
        found["wrong"] = np.histogram(column[good & (correct == 0)], BINS, range=span)[0].tolist()
    return found
