"""Ctrl-C ends a command in seconds, whatever the device is doing."""

import _thread
import signal
import threading
import time

import pytest

from jaxcam.cli import _background
from jaxcam.cli._background import Left, in_background


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C interrupts, also where the tests were started in the background by a shell, which makes it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_work_is_done_and_its_errors_are_raised():
    done = []
    in_background(lambda check: (check(), done.append(1)))
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        in_background(lambda check: 1 / 0)


def test_work_that_stops_by_itself():
    def work(check):
        _thread.interrupt_main()
        while True:
            time.sleep(0.01)
            check()

    with pytest.raises(KeyboardInterrupt) as interrupt:
        in_background(work)
    assert not isinstance(interrupt.value, Left)


def test_work_that_cannot_be_stopped_is_left(monkeypatch):
    monkeypatch.setattr(_background, "PATIENCE", 0.1)
    free = threading.Event()

    def work(check):
        _thread.interrupt_main()
        free.wait(60)

    began = time.perf_counter()
    with pytest.raises(Left):
        in_background(work)
    assert time.perf_counter() - began < 30
    free.set()
