"""Output of the demo: a table on the console, and the same as CSV and JSON."""

import csv
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .. import _terminal

LEGEND = (
    "hit: the brightest place lies in the box  ·  inside: share of the map in the box  ·  over all scenes"
)


@dataclass(frozen=True)
class Row:
    """One line of the table. Shares are in [0, 1]; None where there is nothing to measure.

    Attributes:
        method: its name in `jaxcam.METHODS`, or what the maps are.
        points: share of the maps whose maximum lies in the box of the digit asked for.
        energy: share of a map's sum that lies in that box, averaged over the maps.
        milliseconds: for one digit of one scene, compiled, in a batch of all scenes; the median over the digits.
        compile_seconds: for compiling it, once.
        forwards: floating point operations of the convolutions and matrix products of one map, in forward passes.
        reason: why the method does not run on this network.
    """

    method: str
    points: float | None = None
    energy: float | None = None
    milliseconds: float | None = None
    compile_seconds: float | None = None
    forwards: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data of the measurement. `found` is the share of the digits that the network detects."""

    scenes: int
    digits: int
    seed: int
    layer: str
    found: float
    forward_flops: float
    device: str


def write(out: Path, rows: list[Row], setting: Setting) -> None:
    """Writes demo.csv and demo.json."""
    with open(out / "demo.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
    report = {**asdict(setting), "rows": [asdict(row) for row in rows]}
    (out / "demo.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(rows: list[Row], setting: Setting, console: Console, out: Path) -> None:
    """Prints the table, what it was measured on, and why a method is missing."""
    columns = ("method", "points at it", "inside box", "ms / map", "forwards", "compile s")
    table = _terminal.table(*columns, right=columns[1:])
    known = [row for row in rows if not row.reason]
    best = {name: max(getattr(row, name) for row in known) for name in ("points", "energy")}
    for row in rows:
        cells = [Text(row.method)]
        for name, form in (
            ("points", "{:.1%}"),
            ("energy", "{:.1%}"),
            ("milliseconds", "{:.2f}"),
            ("forwards", "{:.2f}"),
            ("compile_seconds", "{:.1f}"),
        ):
            value = getattr(row, name)
            style = "bold green" if value is not None and value == best.get(name) else ""
            cells.append(Text("–" if value is None else form.format(value), style))
        table.add_row(*cells, style="dim" if row.forwards is None else "")
    console.print(table)
    for note in footnotes(rows):
        console.print(note, style="yellow", markup=False)
    console.print(
        f"{setting.digits} digits in {setting.scenes} scenes, of which the network finds {setting.found:.1%}; "
        f"layer {setting.layer}; one forward pass is {setting.forward_flops / 1e6:.0f} MFLOP",
        markup=False,
    )
    console.print(f"written to {out}: demo.png, demo.csv, demo.json", markup=False, soft_wrap=True)


def caption(row: Row) -> str:
    """A few words on a method's maps."""
    return "" if row.reason else f"{row.points:.0%} hit   {row.energy:.0%} inside"


def footnotes(rows: list[Row]) -> list[str]:
    """One line for each method that does not run: the first sentence of the reason."""
    return [f"{row.method} does not run here: {row.reason.split('. ')[0]}" for row in rows if row.reason]
