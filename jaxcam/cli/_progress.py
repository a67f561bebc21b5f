"""Progress of a run: a bar on a terminal, otherwise a line every 30 seconds, or events as JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from .._terminal import Bar, bar, console, duration, printable
from ..datasets.running._meter import Event, Listener

PAUSE = 30.0  # seconds between two lines where nobody looks
REASONS = 20  # records that failed are named, up to so many


@contextmanager
def shown(*, as_json: bool) -> Iterator[Listener]:
    """A listener that shows the run: JSON on standard output; or a bar on standard error if that is a terminal, and
    otherwise a line every 30 seconds."""
    where = console(stderr=True)
    if as_json:
        yield print_json
    elif where.is_terminal:
        with bar("compiling") as drawn:
            yield _drawing(drawn)
    else:
        yield _lines(where)


def print_json(event: Event) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _drawing(drawn: Bar) -> Listener:
    say = _named_failures(drawn.say)

    def tell(event: Event) -> None:
        say(event)
        if event["event"] == "compiled":
            drawn.show(doing="explaining")
        if "left" in event:
            count = event["done"] + event["failed"]
            drawn.show(done=count, total=count + event["left"], standing=standing(event))

    return tell


def _lines(where: Console) -> Listener:
    last = time.monotonic()
    say = _named_failures(lambda text: where.print(text, markup=False, soft_wrap=True))

    def tell(event: Event) -> None:
        nonlocal last
        say(event)
        if event["event"] == "batch" and time.monotonic() - last >= PAUSE:
            last = time.monotonic()
            count = event["done"] + event["failed"]
            where.print(
                f"{count:,} of {count + event['left']:,} done, {standing(event)}",
                markup=False,
                soft_wrap=True,
            )

    return tell


def _named_failures(say: Callable[[str], None]) -> Listener:
    """Prints why the first records failed, and the notes of the run."""
    named = 0

    def tell(event: Event) -> None:
        nonlocal named
        if event["event"] == "note":
            say(f"note: {event['text']}")
        if event["event"] == "failed":
            named += 1
            if named <= REASONS:
                say(f"failed {printable(event['path'])}: {printable(event['reason'])}")
            if named == REASONS:
                say("more that fail are in the store's log only")

    return tell


def standing(event: Event) -> str:
    """`3 failed, 212.4 images/s, 3 min 50 s left, device busy 97 %`"""
    words = [f"{event['failed']:,} failed"] if event["failed"] else []
    if event["rate"]:
        left = duration(event["left"] / event["rate"])
        words += [f"{event['rate']:.1f} images/s", f"{left} left", f"device busy {event['busy']:.0%}"]
    return ", ".join(words)
