"""Result of an evaluation: means over maps, for each method and floor of each model."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...metrics import mean_over_classes
from ...metrics._registry import TABLE
from ._measure import Subject


class Line(NamedTuple):
    """A method, or a floor, on one model: means over maps, and their standard errors where there are several.

    Attributes:
        maps: how many were measured: one a picture, or one for each class that is in a picture.
        forwards: floating point operations of one map, in forward passes of the model; None for a floor.
        blank: maps that are zero everywhere.
        milliseconds: for one map, compiled, in a batch; the median over batches; None for a floor.
    """

    model: str
    method: str
    maps: int
    forwards: float | None
    milliseconds: float | None
    means: dict[str, float]
    errors: dict[str, float]
    blank: int = 0


def summarise(subject: Subject, rows: Sequence[Mapping]) -> list[Line]:
    """A line for each method and then each floor of a model, in the order in which they were measured."""
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        if row["model"] == subject.name:
            groups.setdefault(row["method"], []).append(row)
    return [_line(subject, name, group) for name, group in groups.items()]


def _line(subject: Subject, name: str, rows: Sequence[Mapping]) -> Line:
    means, errors = {}, {}
    measured = [metric for metric in TABLE if metric in rows[0]]
    good = [row for row in rows if all(math.isfinite(row[metric]) for metric in measured)]
    for metric in measured if good else ():
        values = np.asarray([row[metric] for row in good])
        if metric == "pointing_game":
            classes = np.asarray([row["category"] for row in good])
            means[metric] = mean_over_classes(values, classes)
            _, index, counts = np.unique(classes, return_inverse=True, return_counts=True)
            weights = 1 / (len(counts) * counts[index])
        else:
            means[metric] = float(values.mean())
            weights = np.full(len(values), 1 / len(values))
        if len(values) > 1:
            spread = np.sum((weights * (values - means[metric])) ** 2) * len(values) / (len(values) - 1)
            errors[metric] = float(np.sqrt(spread))
    times = [row["milliseconds"] for row in rows if "milliseconds" in row]
    return Line(
        model=subject.name,
        method=name,
        maps=len(good),
        forwards=subject.forwards.get(name),
        milliseconds=statistics.median(times) if times else None,
        means=means,
        errors=errors,
        blank=sum("note" in row for row in rows),
    )


def value(line: Line, metric: str) -> str:
    """A mean in percent, as tables and figures print it."""
    return f"{TABLE[metric].factor * line.means[metric]:.1f}" if metric in line.means else ""


def best(lines: Sequence[Line], metric: str) -> set[str]:
    """The methods with the best mean, as it is printed; none where all have it. Floors do not compete."""
    known = [line for line in lines if line.forwards is not None and metric in line.means]
    order = sorted(known, key=lambda line: line.means[metric], reverse=TABLE[metric].better == "higher")
    found = {line.method for line in known if value(line, metric) == value(order[0], metric)}
    return found if len(found) < len(known) else set()
