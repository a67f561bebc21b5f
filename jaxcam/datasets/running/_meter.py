"""Counts what is done and reports it as events (dicts) to the log, the progress bar and other listeners."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..store._columns import FAILED, STATUS
from ._clock import Clock

Event = dict[str, Any]
Listener = Callable[[Event], None]
_WINDOW = 30.0  # seconds over which the rate is taken


class Summary(NamedTuple):
    """How a run ended.

    Attributes:
        out: the store.
        records: of this process's share.
        done, failed: of those, in this run and before.
        computed: in this run.
        seconds: from the first batch to the last, without compiling.
        rate: images a second.
        busy: share of the time in which the devices had work.
        noted: of those done, how many have a note: their maps are zero everywhere.
        limit: what would have to be faster for more images a second: "device", "decoding" or "writing"; None where
            nothing was left to do.
    """

    out: str
    records: int
    done: int
    failed: int
    computed: int
    seconds: float
    rate: float
    busy: float
    limit: str | None
    noted: int = 0


class Meter:
    """Counts what is done and calls every listener with each event.

    Attributes:
        total, done, failed: records of this process's share; `done` are those that did not fail.
        computed: records that this run has written.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        total: int,
        done: int,
        failed: int,
        noted: int,
        batch: int,
        clock: Clock,
    ):
        self.total, self.done, self.failed, self.batch, self.clock = total, done, failed, batch, clock
        self.noted = noted
        self.computed = 0
        self._listeners = listeners
        self._lock = threading.RLock()
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def left(self) -> int:
        return self.total - self.done - self.failed

    def tell(self, word: str, **more: object) -> None:
        event = {"event": word, "time": round(time.time(), 3), **more}
        with self._lock:
            for each in self._listeners:
                each(event)

    def written(self, number: int, rows: dict[str, Any]) -> None:
        """Counts a batch that was written, and reports it and each of its failed records."""
        bad = np.flatnonzero(rows[STATUS] == FAILED)
        count = len(rows[STATUS])
        with self._lock:
            self.failed += bad.size
            self.done += count - bad.size
            self.noted += sum(map(bool, rows["note"]))
            self.computed += count
            now = time.perf_counter()
            if not self._recent:
                self._recent.append((self.clock.began, 0))
            self._recent.append((now, self.computed))
            while len(self._recent) > 2 and now - self._recent[1][0] > _WINDOW:
                self._recent.popleft()
            for row in bad.tolist():
                record = number * self.batch + row
                self.tell("failed", record=record, path=rows["path"][row], reason=rows["error"][row])
            self.tell("batch", batch=number, **self.now())

    def now(self) -> dict[str, Any]:
        """State of the run: done, failed, left, images per second, and share of time that devices were busy."""
        rate = 0.0
        if self._recent:
            (first, before), (last, after) = self._recent[0], self._recent[-1]
            rate = (after - before) / max(last - first, 1e-9)
        busy = round(self.clock.share, 3)
        return {
            "done": self.done,
            "failed": self.failed,
            "left": self.left,
            "rate": round(rate, 2),
            "busy": busy,
        }

    def summary(self, out: str) -> Summary:
        seconds = self.clock.seconds
        return Summary(
            out=out,
            records=self.total,
            done=self.done,
            failed=self.failed,
            computed=self.computed,
            seconds=round(seconds, 3),
            rate=round(self.computed / seconds, 2),
            busy=round(self.clock.share, 3),
            limit=self.clock.limit() if self.computed else None,
            noted=self.noted,
        )
