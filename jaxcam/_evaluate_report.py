"""What `jaxcam evaluate` says: means over pictures, as a table on the terminal, as CSV and as JSON."""

import csv
import io
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.table import Table
from rich.text import Text

from . import _terminal
from ._index import whole
from ._pictures import Failure
from .metrics import METRICS, mean_over_classes

if TYPE_CHECKING:
    from ._evaluate_pictures import Job
    from ._evaluation import Subject


class Shown(NamedTuple):
    """How a metric appears in the table and the figure: in percent, whatever its own unit."""

    name: str
    lower: bool
    factor: int


_NAMES = {
    "average_drop": "average drop",
    "average_increase": "average increase",
    "average_gain": "average gain",
    "insertion": "insertion",
    "deletion": "deletion",
    "insertion_minus_deletion": "insertion − deletion",
    "road": "ROAD",
    "road_morf": "ROAD MoRF",
    "road_lerf": "ROAD LeRF",
    "complexity": "complexity",
    "coherency": "coherency",
    "adcc": "ADCC",
    "pointing_game": "pointing game",
    "energy_pointing_game": "energy inside",
}
SHOWN = {
    metric: Shown(name, METRICS.get(metric) == "lower", 1 if metric.startswith("average") else 100)
    for metric, name in _NAMES.items()
}


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


def finish(
    job: "Job", rows: Sequence[Mapping], failures: Sequence[Failure], *, seconds: float, figure: bool
) -> None:
    """Writes all files, and shows the table; without the `figure` it takes no time."""
    from ._evaluate_figure import draw

    lines = {subject.name: summarise(subject, rows) for subject in job.subjects}
    done = {name: each for name, each in lines.items() if each}
    _write(job, rows, [line for each in lines.values() for line in each], failures, seconds)
    if figure := figure and bool(done):
        with whole(job.out / "figure.png") as file:
            draw(file, done)
    for subject in job.subjects:
        if subject.name in done:
            _show(subject, done[subject.name], job.run["targets_from"])
            _tell_blank(subject, rows)
    where = _terminal.console()
    if done:
        where.print(
            "in %, the best in bold; forward passes: operations for a map, in those of a run of the model"
        )
    what = f"{_several(len({row['picture'] for row in rows}), 'picture')} × {_several(len(done), 'model')}"
    units = len({(row["model"], row["picture"], row["target"]) for row in rows})
    rate = (
        f"{units / seconds:.1f} images and {len(rows) / seconds:.1f} maps a second" if rows else "none done"
    )
    where.print(f"{what} in {seconds:.1f} s ({rate})", markup=False)
    where.print(
        f"written to {_terminal.shown(job.out)}: summary.csv, summary.json, pictures.csv"
        + (", figure.png" if figure else ""),
        markup=False,
        soft_wrap=True,
    )
    total = sum(len(each) for each in job.subjects[0].cases.values())
    _terminal.tell_failures(failures, total=total, listed="summary.json")


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def summarise(subject: "Subject", rows: Sequence[Mapping]) -> list[Line]:
    """A line for each method and then each floor of a model, in the order in which they were measured."""
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        if row["model"] == subject.name:
            groups.setdefault(row["method"], []).append(row)
    return [_line(subject, name, group) for name, group in groups.items()]


def _line(subject: "Subject", name: str, rows: Sequence[Mapping]) -> Line:
    means, errors = {}, {}
    measured = [metric for metric in SHOWN if metric in rows[0]]
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
    return f"{SHOWN[metric].factor * line.means[metric]:.1f}" if metric in line.means else ""


def best(lines: Sequence[Line], metric: str) -> set[str]:
    """The methods with the best mean, as it is printed; none where all have it. Floors do not compete."""
    known = [line for line in lines if line.forwards is not None and metric in line.means]
    order = sorted(known, key=lambda line: line.means[metric], reverse=not SHOWN[metric].lower)
    found = {line.method for line in known if value(line, metric) == value(order[0], metric)}
    return found if len(found) < len(known) else set()


def _show(subject: "Subject", lines: Sequence[Line], origin: str) -> None:
    """The table, in as many parts below each other as the terminal's width asks for."""
    where = _terminal.console()
    counts = sorted({line.maps for line in lines})
    count = (
        _several(counts[-1], "map") if len(counts) == 1 else f"{counts[0]} to {_several(counts[-1], 'map')}"
    )
    about = f"  layer {subject.layer}, {count} of each method"
    where.print(Text.assemble((subject.name, "bold"), (about, "dim")), soft_wrap=True)
    where.print(Text(f"targets: {_terminal.shown(origin)}", "dim"), soft_wrap=True)
    unbounded = where.options.update(max_width=10_000)  # or what is measured is cut to the terminal's width
    titles, columns = ["method"], [[Text(line.method) for line in lines]]
    for title, cells in _columns(lines):
        wider = _part([*titles, title], [*columns, cells], lines)
        if len(titles) > 1 and where.measure(wider, options=unbounded).maximum > where.width:
            where.print(_part(titles, columns, lines))
            titles, columns = titles[:1], columns[:1]
        titles, columns = [*titles, title], [*columns, cells]
    where.print(_part(titles, columns, lines))
    for name, reason in subject.left_out.items():
        where.print(
            f"{name} does not run on {subject.name}: {reason.split('. ')[0]}", style="yellow", markup=False
        )


def _tell_blank(subject: "Subject", rows: Sequence[Mapping]) -> None:
    """A line on the maps that are zero everywhere: whose they are, and why."""
    own = [row for row in rows if row["model"] == subject.name and row["method"] in subject.forwards]
    methods = list(dict.fromkeys(row["method"] for row in own if "note" in row))
    told = [row.get("note", "") for row in own if row["method"] in methods]
    _terminal.tell_notes(told, listed="pictures.csv", of=f"{subject.name} {', '.join(methods)}: ")


def _columns(lines: Sequence[Line]) -> Iterator[tuple[str, list[Text]]]:
    """Title and cells of each column of numbers."""
    yield "forward\npasses", [Text("" if line.forwards is None else f"{line.forwards:.1f}") for line in lines]
    for metric in (each for each in SHOWN if any(each in line.means for line in lines)):
        winners = best(lines, metric)
        title = f"{SHOWN[metric].name.replace(' ', chr(10), 1)} {'↓' if SHOWN[metric].lower else '↑'}"
        yield (
            title,
            [Text(value(each, metric), "bold green" if each.method in winners else "") for each in lines],
        )
    times = [line.milliseconds for line in lines]
    yield "ms per\nimage", [Text("" if each is None else f"{each:.1f}") for each in times]


def _part(titles: Sequence[str], columns: Sequence[Sequence[Text]], lines: Sequence[Line]) -> Table:
    table = _terminal.table(*titles, right=titles[1:], whole=titles)
    for number, (line, cells) in enumerate(zip(lines, zip(*columns, strict=True), strict=True)):
        floor = line.forwards is None
        last = number + 1 == len(lines) or floor == (lines[number + 1].forwards is None)
        table.add_row(*cells, style="dim" if floor else "", end_section=not last)
    return table


def _write(
    job: "Job", rows: Sequence[Mapping], lines: Sequence[Line], failures: Sequence[Failure], seconds: float
) -> None:
    measured = [metric for metric in SHOWN if any(metric in row for row in rows)]
    facts = (
        "model",
        "method",
        "picture",
        "target",
        "target_name",
        "probability",
        "prediction",
        "prediction_name",
        "note",
    )
    _csv(job.out / "pictures.csv", [*facts, *measured], rows)
    flat = [
        line._asdict() | line.means | {f"{name}_error": value for name, value in line.errors.items()}
        for line in lines
    ]
    columns = [column for metric in measured for column in (metric, f"{metric}_error")]
    _csv(
        job.out / "summary.csv",
        ["model", "method", "maps", "blank", "forwards", "milliseconds", *columns],
        flat,
    )
    content = {
        "run": {**job.run, "seconds": round(seconds, 3)},
        "models": [
            {
                "name": each.name,
                "model": each.model,
                **each.weights,
                "layer": each.layer,
                "left_out": each.left_out,
            }
            for each in job.subjects
        ],
        "results": [line._asdict() for line in lines],
        "failed": [{"picture": str(each.found.path), "reason": each.reason} for each in failures],
    }
    with whole(job.out / "summary.json") as file:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        file.write(
            text.encode("utf-8", "backslashreplace") + b"\n"
        )  # a name that is no text: as JSON escapes it


def _csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
    """Missing values and NaN are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if _is_nan(value) else value for key, value in row.items()})
    with whole(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))  # a file's name may be any bytes


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
