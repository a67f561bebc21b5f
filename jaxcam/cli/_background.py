"""Work that Ctrl-C can leave: in a thread of its own, because a compiled program cannot be interrupted."""

import threading
from collections.abc import Callable

PATIENCE = 2.0  # seconds in which the work may end by itself
_TICK = 0.2  # seconds; a wait without end cannot be interrupted on Windows


class Left(KeyboardInterrupt):
    """Interrupted while work goes on that only the end of the process can stop."""


def in_background(work: Callable[[Callable[[], None]], None]) -> None:
    """Calls `work` in another thread and waits for it; its errors are raised here.

    `work` gets a function to call wherever it may stop: after Ctrl-C that raises KeyboardInterrupt, in its thread.

    Raises:
        KeyboardInterrupt: Ctrl-C, and the work has stopped.
        Left: Ctrl-C, and the work is in the midst of what cannot be stopped.
    """
    stop, ended = (
        threading.Event(),
        threading.Event(),
    )  # an interrupted Thread.join takes the thread for ended
    raised: list[BaseException] = []

    def check() -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    def run() -> None:
        try:
            work(check)
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, name="work", daemon=True).start()
        while not ended.wait(_TICK):
            pass
    except KeyboardInterrupt as interrupt:
        stop.set()
        if not ended.wait(PATIENCE):
            raise Left from interrupt
        raise
    if raised:
        raise raised[0]
