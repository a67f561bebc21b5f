"""What the command line shows: a bar while pictures are explained, tables afterwards."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from .files._pictures import Failure

ROWS = 30  # pictures in the table; the index has them all
_HEADING = 12  # letters of a heading's word that are kept together
REASONS = 3  # failures told again in the last line


def console(*, stderr: bool = False) -> Console:
    """A console that writes plain text, unbroken, where nobody looks: to a file or a pipe."""
    made = Console(stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = 200
    return made


@contextmanager
def progress(total: int) -> Iterator[Callable[..., None]]:
    """A bar of `total` pictures on standard error, if that is a terminal, with their rate.

    Gives a function to call for each picture done: with a word for what is going on, or with why it failed;
    `advance=` says how much of a picture is done, where that is not one.
    """
    where = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=where, transient=True, disable=not where.is_terminal) as bar:
        task = bar.add_task("compiling", total=total)

        def tell(each: str | Failure, *, advance: float | int = 1) -> None:
            if isinstance(each, Failure):
                where.print(
                    Text(f"skipped {shown(each.found.path)}: {each.reason}", "yellow"), soft_wrap=True
                )
                bar.advance(task, advance)
            else:
                bar.update(task, advance=advance, description=each)

        yield tell


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "", "dim")


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
    """A line on maps that say nothing, where there are any: how many, and what is said of most of them."""
    if not (said := Counter(filter(None, notes)).most_common()):
        return
    count = sum(number for _, number in said)
    others = f"; {listed} says it of each" if len(said) > 1 else ""
    line = f"{of}{count} of {len(notes)} maps: {said[0][0]}{others}"
    console(stderr=True).print(Text(line, "yellow"), soft_wrap=True)


def tell_failures(failures: Sequence[Failure], *, total: int, listed: str) -> None:
    """A line on how many pictures failed and why, where any did; `listed` is the file that names them all."""
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
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "�" for letter in text)
