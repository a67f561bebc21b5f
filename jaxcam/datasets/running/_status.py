"""Progress of a run, read from its store, while it runs or afterwards."""

import os
import re
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts

from ..store._columns import DONE, FAILED, LEFT, STATUS
from ..store._store import open_store
from ..store._verify import read_whole
from ._log import read_log
from ._pulse import living


class Status(NamedTuple):
    """Progress of a run.

    Attributes:
        records, done, failed, left: of the whole data set.
        rate: images a second of the processes that are alive or, where none is, of the last that was; 0 if unknown.
        alive: the processes that run: number, pid, host and time of the last sign of life.
        last: what the log of each process says last: event and time.
        damaged: chunks that are missing or damaged, though their batch is done: batch, array and reason. None where
            they were not looked for.
    """

    out: str
    records: int
    done: int
    failed: int
    left: int
    rate: float
    alive: list[dict[str, Any]]
    last: list[dict[str, Any]]
    damaged: list[dict[str, Any]] | None = None


def status(out: str | os.PathLike, *, verify: bool = False) -> Status:
    """Progress of the run into the store `out`.

    Args:
        out: the store: a folder or a URL.
        verify: read every chunk of the batches that are done, and name those that are missing or damaged.

    Raises ValueError where there is no store, and, without `verify`, where a chunk of `status` is damaged.
    """
    store = open_store(os.fspath(out))
    # Count the records, without those of chunks that cannot be read.
    damaged = list(read_whole(store, sorted(store.done()))) if verify else []
    unread = {each.batch for each in damaged if each.array == STATUS}
    found = np.concatenate(
        [
            np.full(min(store.batch, store.records - start), LEFT)
            if start // store.batch in unread
            else store.read(STATUS, start, start + store.batch)
            for start in range(0, store.records, store.batch)
        ]
        if unread
        else [store.read(STATUS)]
    )
    done, failed = int(np.sum(found == DONE)), int(np.sum(found == FAILED))
    # Find out which processes are alive, and how fast they are.
    alive = living(store.kv)
    logs = {process: read_log(store.kv, process) for process in _processes(store.kv)}
    rates = {
        process: next((e["rate"] for e in reversed(events) if e["event"] == "batch"), 0.0)
        for process, events in logs.items()
    }
    counted = [process for process in rates if process in alive] or list(rates)
    return Status(
        out=store.location,
        records=store.records,
        done=done,
        failed=failed,
        left=store.records - done - failed,
        rate=round(sum(rates[process] for process in counted), 2),
        alive=[{"process": process, **sign} for process, sign in sorted(alive.items())],
        last=[
            {"process": process, "event": events[-1]["event"], "time": events[-1]["time"]}
            for process, events in sorted(logs.items())
            if events
        ],
        damaged=[each._asdict() for each in damaged] if verify else None,
    )


def _processes(kv: ts.KvStore) -> list[int]:
    keys = kv.list(ts.KvStore.KeyRange("log-", "log.")).result()
    found = (re.fullmatch(r"log-(\d+)\.jsonl", key.decode()) for key in keys)
    return [int(each[1]) for each in found if each]
