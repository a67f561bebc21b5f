"""Output of the command line: a progress bar while work goes on, tables afterwards."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from .files._pictures import Failure

ROWS = 30  # pictures in the table; the index has them all
_HEADING = 12  # letters of a heading's word that are kept together
REASONS = 3  # failures told again in the last line


def console(*, stderr: bool = False) -> Console:
    """A console. To a file or a pipe it writes plain text and does not break lines."""
    made = Console(stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = 200
    return made


class Bar:
    """A progress bar, made by `bar`: amount done, total, current activity and state."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task

    def step(self, doing: str, *, advance: float | int = 1) -> None:
        """Adds to the amount done, and sets the current activity."""
        self._progress.update(self._task, advance=advance, description=doing)

    def skip(self, failure: Failure, *, advance: float | int = 1) -> None:
        """Adds to the amount done for a picture that failed, and prints the reason."""
        self.say(f"skipped {shown(failure.found.path)}: {failure.reason}")
        self._progress.update(self._task, advance=advance)

    def show(
        self,
        *,
        doing: str | None = None,
        done: float | int | None = None,
        total: float | int | None = None,
        standing: str | None = None,
    ) -> None:
        """Sets what is given; `standing` takes the place of the rate and the time that is left."""
        self._progress.update(self._task, description=doing, completed=done, total=total)
        if standing is not None:
            self._progress.update(self._task, standing=standing)

    def say(self, text: str) -> None:
        """Prints a line above the bar, also where there is no terminal."""
        self._progress.console.print(Text(text, "yellow"), soft_wrap=True)


@contextmanager
def bar(doing: str, *, total: float | int | None = None, unit: str = "images") -> Iterator[Bar]:
    """A progress bar on standard error while the block runs, if that is a terminal; otherwise nothing is drawn.

    Args:
        doing: what is being done, in a word or two.
        total: how much there is to do, if that is known.
        unit: of `total`, such as "images"; "bytes" are shown as kB and MB.
    """
    where = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        _Standing(unit),
    )
    with Progress(*columns, console=where, transient=True, disable=not where.is_terminal) as progress:
        yield Bar(progress, progress.add_task(doing, total=total))


class _Standing(ProgressColumn):
    """The `standing` that `Bar.show` was given, or else `212.4 images/s, 3 min 50 s left`."""

    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        if "standing" in task.fields:
            return Text(task.fields["standing"], "dim")
        if not task.speed:
            return Text("")
        rate = decimal(int(task.speed)) if self._unit == "bytes" else f"{task.speed:.1f} {self._unit}"
        left = task.time_remaining
        return Text(f"{rate}/s" if left is None else f"{rate}/s, {duration(left)} left", "dim")


def duration(seconds: float | int) -> str:
    """`45 s`, `3 min 50 s`, `2 h 5 min`, `3 days 2 h`"""
    minutes, hours, days = (int(seconds // each) for each in (60, 3600, 86400))
    if days:
        return f"{days} days {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"


def results(
    entries: Sequence[dict], failures: Sequence[Failure], *, total: int, out: Path, seconds: float
) -> None:
    """The table, a sentence below it and, where pictures failed, a last line on how many and why."""
    where = console()
    if entries:
        where.print(_table(entries[:ROWS]))
    if len(entries) > ROWS:
        where.print(
            f"... and {len(entries) - ROWS} more in {shown(out / 'index.csv')}", markup=False, soft_wrap=True
        )
    done = f"{len(entries)} of {total}" if len(entries) < total else str(total)
    rate = f"{len(entries) / seconds:.1f} a second" if entries else "none done"
    where.print(
        f"{done} {_pictures(total)} in {seconds:.1f} s ({rate}), written to {shown(out)}; index.csv lists them",
        markup=False,
        soft_wrap=True,
    )
    notes = [each["note"] for entry in entries for each in entry["maps"]]
    tell_notes(notes, listed="index.csv")
    tell_failures(failures, total=total, listed="index.json")


def tell_notes(notes: Sequence[str], *, listed: str, of: str = "") -> None:
    """Prints a line on maps with a note, if there are any: how many, and the most frequent note."""
    if not (said := Counter(filter(None, notes)).most_common()):
        return
    count = sum(number for _, number in said)
    others = f"; {listed} says it of each" if len(said) > 1 else ""
    line = f"{of}{count} of {len(notes)} maps: {said[0][0]}{others}"
    console(stderr=True).print(Text(line, "yellow"), soft_wrap=True)


def tell_failures(failures: Sequence[Failure], *, total: int, listed: str) -> None:
    """Prints a line on how many pictures failed and why, if any did; `listed` is the file that names them all."""
    if not failures:
        return
    reasons = [f"{shown(each.found.path)}: {each.reason}" for each in failures[:REASONS]]
    if len(failures) > REASONS:
        reasons.append(f"and {len(failures) - REASONS} more, listed in {listed}")
    line = f"{len(failures)} of {total} {_pictures(total)} failed: {'; '.join(reasons)}"
    console(stderr=True).print(Text(line, "bold red"), soft_wrap=True)


def table(*columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table in the house's style; columns in `right` hold numbers, those in `whole` are never broken."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name in whole,
            overflow="fold",
            min_width=min(max(map(len, name.split()), default=0), _HEADING),
        )
    return made


def _table(entries: Sequence[dict]) -> Table:
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(each["picture"])) for each in entries])
    folder = _folder(entries)
    files = "overlay" if folder == "." else f"overlay in {shown(folder)}"
    made = table(
        "picture", "prediction", "", "target", "score", files, right=("", "score"), whole=("", "score")
    )
    for entry in entries:
        best = entry["predictions"][0]
        first = (
            shown(os.path.relpath(entry["picture"], shared)),
            best["name"],
            f"{best['probability']:.1%}",
        )
        for each in entry["maps"]:
            target = f"{each['name']} ({each['class']}){', zero map' if each['note'] else ''}"
            row = (*first, target, f"{each['score']:.2f}", shown(os.path.relpath(each["overlay"], folder)))
            made.add_row(*map(Text, row))
            first = ("", "", "")
    return made


def _folder(entries: Sequence[dict]) -> str:
    """The folder below the output's that holds all overlays."""
    folders = [os.path.dirname(each["overlay"]) for entry in entries for each in entry["maps"]]
    return (os.path.commonpath(folders) if all(folders) and folders else "") or "."


def _pictures(count: int) -> str:
    return "picture" if count == 1 else "pictures"


def shown(path: str | Path) -> str:
    """A path as text that any terminal takes: a mark stands for bytes that are not text."""
    return printable(os.fsencode(path).decode("utf-8", "replace"))


def printable(text: str) -> str:
    """Text that any terminal takes."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
