"""Output of `jaxcam evaluate`: means over pictures, as a table on the terminal, as CSV and as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ... import _terminal
from ...files._pictures import Failure
from ...files._whole import whole
from ...metrics._registry import TABLE
from ._figure import draw
from ._measure import Job, Subject
from ._summary import Line, best, summarise, value


def finish(
    job: Job, rows: Sequence[Mapping], failures: Sequence[Failure], *, seconds: float, figure: bool
) -> None:
    """Writes all files, and shows the table; without the `figure` it takes no time."""
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


def _show(subject: Subject, lines: Sequence[Line], origin: str) -> None:
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
    for name, cost in subject.dear.items():
        where.print(f"{name} is left out of all: {_dear(cost)}", style="yellow", markup=False)


def _dear(cost: float) -> str:
    return f"a map takes {cost:,.0f} forward passes; --method with its name measures it"


def _tell_blank(subject: Subject, rows: Sequence[Mapping]) -> None:
    """Prints a line on the maps that are zero everywhere: of which methods, and why."""
    own = [row for row in rows if row["model"] == subject.name and row["method"] in subject.forwards]
    methods = list(dict.fromkeys(row["method"] for row in own if "note" in row))
    told = [row.get("note", "") for row in own if row["method"] in methods]
    _terminal.tell_notes(told, listed="pictures.csv", of=f"{subject.name} {', '.join(methods)}: ")


def _columns(lines: Sequence[Line]) -> Iterator[tuple[str, list[Text]]]:
    """Title and cells of each column of numbers."""
    yield "forward\npasses", [Text("" if line.forwards is None else f"{line.forwards:.1f}") for line in lines]
    for metric in (each for each in TABLE if any(each in line.means for line in lines)):
        winners = best(lines, metric)
        title = f"{TABLE[metric].title.replace(' ', chr(10), 1)} {TABLE[metric].arrow}"
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
    job: Job, rows: Sequence[Mapping], lines: Sequence[Line], failures: Sequence[Failure], seconds: float
) -> None:
    # Write each map's values.
    measured = [metric for metric in TABLE if any(metric in row for row in rows)]
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
    # Write the means as a table.
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
    # Write the means and the settings as JSON.
    content = {
        "run": {**job.run, "seconds": round(seconds, 3)},
        "models": [
            {
                "name": each.name,
                "model": each.model,
                **each.weights,
                "layer": each.layer,
                "left_out": {**each.left_out, **{name: _dear(cost) for name, cost in each.dear.items()}},
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
        )  # a name that is not text: as JSON escapes it


def _csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
    """Missing values and NaN are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if _is_nan(value) else value for key, value in row.items()})
    with whole(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))  # a file's name may be any bytes


def _is_nan(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
