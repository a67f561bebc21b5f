"""Time measurement: how long the device was busy, and what the loop waited for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Sums of seconds by activity.

    Attributes:
        fed: the loop waited for records to be read and decoded.
        busy: the device had work, from the start of a step or the end of the one before to its own end.
    """

    began: float = field(default_factory=time.perf_counter)
    fed: float = 0.0
    busy: float = 0.0
    _ended: float = 0.0

    def start(self) -> None:
        """Starts to count, after compilation."""
        self.began = time.perf_counter()

    @contextmanager
    def feeding(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.fed += time.perf_counter() - start

    def step(self, started: float) -> None:
        """Counts a step that began at a given time and has ended now."""
        now = time.perf_counter()
        self.busy += now - max(started, self._ended)
        self._ended = now

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def share(self) -> float:
        """Share of the time so far in which the device was busy."""
        return min(1.0, self.busy / max(self.seconds, 1e-9))

    def limit(self) -> str:
        """What to improve for more images a second: "device", "decoding" or "writing"."""
        if self.share >= 0.85:
            return "device"
        return "decoding" if self.fed >= self.seconds * (1 - self.share) / 2 else "writing"
