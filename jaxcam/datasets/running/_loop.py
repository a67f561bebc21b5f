"""The loop: records are read ahead, the device computes, results are written, all three at once.

The main thread takes batches from the feed and starts steps. One thread waits for the device and hands what it made
to a few that write. Each of them is at most a step or two behind, so that memory stays flat.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from ...files._pictures import in_groups
from ..sources._record import Record
from ..store._columns import FAILED, STATUS, Column
from ..store._writer import Writer
from ._clock import Clock
from ._feed import Batch, Failed
from ._labelling import Labels
from ._program import Program
from ._rows import rows_of

STEPS = 2  # started and not yet collected: one that runs, one that waits for it
WRITES = 4  # batches that are being written
WRITERS = 2


class BadRecord(Exception):
    """A record failed in a strict run."""


class Step(NamedTuple):
    """Batches that the devices compute at once, and their pending results."""

    starts: list[int]
    records: list[list[Record | Failed]]
    labels: list[tuple[np.ndarray, dict[int, str]]]
    results: dict[str, jax.Array]
    started: float


class Loop:
    """Explains batches and writes them to a store.

    Attributes:
        report: called with the number of a batch that is written and its rows; from any thread.
        strict: a record that fails ends the run, with a BadRecord.
    """

    def __init__(
        self,
        store: Writer,
        columns: Sequence[Column],
        program: Program,
        labels: Labels,
        *,
        report: Callable[[int, dict[str, Any]], None],
        clock: Clock,
        strict: bool,
    ):
        self.store, self.columns, self.program, self.labels = store, columns, program, labels
        self.report, self.clock, self.strict = report, clock, strict
        self._writing: deque[Future] = deque()

    def run(self, batches: Generator[Batch, None, None], stopped: Callable[[], bool]) -> None:
        """Runs until the batches end or `stopped` says so; what was started is finished and written either way."""
        with (
            contextlib.closing(batches),
            ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as writers,
            ThreadPoolExecutor(1, thread_name_prefix="collect") as collector,
        ):
            collecting: deque[Future] = deque()
            try:
                for group in in_groups(self._fed(batches, stopped), self.program.devices):
                    if stopped():
                        break
                    collecting.append(collector.submit(self._collect, self._start(group), writers))
                    if len(collecting) > STEPS:
                        collecting.popleft().result()
            finally:
                _finish(collecting)
                _finish(self._writing)

    def _fed(self, batches: Iterator[Batch], stopped: Callable[[], bool]) -> Iterator[Batch]:
        while not stopped():
            with self.clock.feeding():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _start(self, batches: list[Batch]) -> Step:
        length = self.program.batch
        idle = self.program.devices - len(batches)  # devices without a batch compute one of zeros
        labels = [self.labels.of(each.records, length) for each in batches]
        images = [each.images for each in batches] + [np.zeros_like(batches[0].images)] * idle
        classes = [each for each, _ in labels] + [np.zeros(length, np.int32)] * idle
        together = images[0] if len(images) == 1 else np.concatenate(images)
        started = time.perf_counter()
        results = self.program(together, np.maximum(np.concatenate(classes), 0))
        # without the images, which are on the devices now
        return Step(
            [each.start for each in batches], [each.records for each in batches], labels, results, started
        )

    def _collect(self, step: Step, writers: ThreadPoolExecutor) -> None:
        jax.block_until_ready(step.results)
        self.clock.step(step.started)
        found = jax.device_get(step.results)
        length = self.program.batch
        for place, (start, records, labels) in enumerate(
            zip(step.starts, step.records, step.labels, strict=True)
        ):
            mine = {name: values[place * length : (place + 1) * length] for name, values in found.items()}
            rows = rows_of(self.columns, records, mine, *labels)
            if self.strict:
                _refuse_failures(rows)
            self._writing.append(writers.submit(self._write, start // length, rows))
            while len(self._writing) > WRITES:
                self._writing.popleft().result()

    def _write(self, number: int, rows: dict[str, Any]) -> None:
        self.store.write(number, rows)
        self.report(number, rows)


def _finish(futures: deque[Future]) -> None:
    """Waits for all of them; raises the first error when none runs any more."""
    errors = []
    while futures:
        error = futures.popleft().exception()
        errors += [error] if error is not None else []
    if errors:
        raise errors[0]


def _refuse_failures(rows: dict[str, Any]) -> None:
    bad = np.flatnonzero(rows[STATUS] == FAILED)
    if bad.size:
        raise BadRecord(f"{rows['path'][bad[0]]}: {rows['error'][bad[0]]}")
