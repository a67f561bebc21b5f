"""The log in the store: what happened, a JSON object a line."""

import contextlib
import json
import time
from pathlib import Path

import tensorstore as ts

from ..store._location import folder_of
from ..store._store import Store
from ._meter import Event

_PAUSE = 30.0  # seconds between two writes of a log that cannot be appended to


class Log:
    """A listener that appends events to `log-<process>.jsonl` in the store, a line each.

    The log is for people: a line that cannot be written is lost, and the run goes on.
    """

    def __init__(self, store: Store, process: int):
        self._kv, self._key = store.kv, f"log-{process}.jsonl"
        folder = folder_of(store.location)
        self._path: Path | None = None if folder is None else folder / self._key
        self._text = ""
        self._sent = 0.0
        if self._path is None:  # a bucket has no appending: the whole log is written again, now and then
            with contextlib.suppress(ValueError, OSError):
                self._text = self._kv.read(self._key).result().value.decode("utf-8", "replace")
        elif self._path.exists() and not self._path.read_bytes().endswith(b"\n"):
            self._append("\n")  # a line that a kill cut short

    def __call__(self, event: Event) -> None:
        line = json.dumps(event) + "\n"
        if self._path is not None:
            self._append(line)
            return
        self._text += line
        if event["event"] != "batch" or time.monotonic() - self._sent > _PAUSE:
            self._sent = time.monotonic()
            with contextlib.suppress(
                ValueError, OSError
            ):  # refused, for now: the next line brings this one too
                self._kv.write(self._key, self._text.encode()).result()

    def _append(self, text: str) -> None:
        assert self._path is not None
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:  # a full disk: the run itself says so when it writes a batch
            pass


def read_log(kv: ts.KvStore, process: int) -> list[Event]:
    """The events of a process's log; lines that a kill cut short are left out."""
    found = kv.read(f"log-{process}.jsonl").result()
    events = []
    for line in found.value.splitlines() if found.state == "value" else []:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
