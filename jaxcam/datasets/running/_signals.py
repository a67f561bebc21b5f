"""Ctrl-C and SIGTERM: the first signal ends the run after the batches in flight, the second ends it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ._meter import Summary

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal ended the run early. What was in flight is finished and written; `signal` is its number,
    `summary` how far the run came."""

    def __init__(self, summary: Summary, number: int):
        super().__init__(f"{summary.done + summary.failed} of {summary.records} records are written")
        self.summary, self.signal = summary, number


class Stop:
    """Calling it tells whether a signal came; `signal` is its number, or None."""

    signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextmanager
def listening() -> Iterator[Stop]:
    """A `Stop` that hears the signals of this process until the block ends. Outside the main thread it hears none."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def hear(number: int, _frame) -> None:
        stop.signal = number
        for each in SIGNALS:  # the next one ends the process: the store does not mind
            signal.signal(each, signal.SIG_DFL)
        # what holds standard error may be what was interrupted, so no print here
        os.write(2, b"\nstopping when the batches in flight are written; again to stop at once\n")

    before = {each: signal.signal(each, hear) for each in SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)  # None: not set by Python
