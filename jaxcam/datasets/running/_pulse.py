"""A sign of life in the store, `alive-<process>.json`, by which a second run notices the first.

The first sign is written only where no living process has one, so that of two runs that start in the same instant one
goes on. A run that is killed leaves its sign, which means nothing a minute later.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorstore as ts

BEAT = 10.0  # seconds between signs
DEAD = 50.0  # seconds without one
AHEAD = 10.0  # seconds by which the clock of another host may be ahead: no sign holds for longer than DEAD + AHEAD


@contextmanager
def pulse(kv: ts.KvStore, location: str, process: int, processes: int) -> Iterator[None]:
    """Writes signs of life until the block ends.

    Raises ValueError where another run has this process's share, or a part of it.
    """
    key, over = f"alive-{process}.json", threading.Event()
    _claim(kv, key, location, process, processes)

    def beat() -> None:
        while not over.wait(BEAT):
            _quietly(kv, key, _sign(processes))

    thread = threading.Thread(target=beat, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _quietly(kv, key, None)


def living(kv: ts.KvStore) -> dict[int, dict[str, Any]]:
    """The signs of the processes that are alive, by number: pid, host, time of the last sign, and of how many."""
    signs = {}
    for key in kv.list(ts.KvStore.KeyRange("alive-", "alive.")).result():
        found = re.fullmatch(r"alive-(\d+)\.json", key.decode("utf-8", "replace"))
        sign = _parsed(kv.read(key).result().value) if found else None
        if found and sign and _is_alive(sign):
            signs[int(found[1])] = sign
    return signs


def _claim(kv: ts.KvStore, key: str, location: str, process: int, processes: int) -> None:
    """The first sign of this process. Raises ValueError where another run lives."""
    there = kv.read(key).result()
    _check_alone(kv, location, process, processes)
    try:
        made = kv.write(key, _sign(processes), if_equal=there.stamp.generation).result()
    except ValueError:  # a full disk: the run itself says so when it writes a batch
        return
    if not made.generation:  # another process wrote it since
        _check_alone(kv, location, process, processes)
        raise ValueError(f"another run has just begun to write to {location!r}")
    try:
        _check_alone(kv, location, process, processes)  # of another number, which came at the same moment
    except ValueError:
        _quietly(kv, key, None)
        raise


def _check_alone(kv: ts.KvStore, location: str, process: int, processes: int) -> None:
    for number, sign in living(kv).items():
        if (sign["pid"], sign["host"]) == (os.getpid(), socket.gethostname()):
            continue  # of before a restart: in a container every run has the same number and host
        if number == process or sign["processes"] != processes:
            wait = max(1, round(sign["time"] + DEAD - time.time()))
            raise ValueError(
                f"another run is writing to {location!r}: process {sign['pid']} on {sign['host']} is number "
                f"{number} of {sign['processes']}; if it was killed, wait {wait} s"
            )


def _sign(processes: int) -> bytes:
    sign = {
        "pid": os.getpid(),
        "began": _began(os.getpid()),
        "host": socket.gethostname(),
        "time": time.time(),
        "processes": processes,
    }
    return json.dumps(sign).encode()


def _is_alive(sign: dict[str, Any]) -> bool:
    if not -AHEAD <= time.time() - sign["time"] <= DEAD:
        return False
    return sign["host"] != socket.gethostname() or _runs(sign["pid"], sign.get("began"))


def _runs(pid: int, began: str | None) -> bool:
    """Whether a process of this host still runs. Its number may be used by another process now."""
    if os.name != "posix":  # on Windows os.kill ends the process that it asks about
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return began is None or _began(pid) in (None, began)


def _began(pid: int) -> str | None:
    """When a process began, in the system's clock ticks; None where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _parsed(text: bytes) -> dict[str, Any] | None:
    """A sign; None for one that is gone, was cut short by a full disk, or is of something else."""
    try:
        sign = json.loads(text)
    except ValueError:
        return None
    kinds = {"pid": int, "host": str, "time": int | float, "processes": int}
    fine = isinstance(sign, dict) and all(isinstance(sign.get(key), kind) for key, kind in kinds.items())
    return sign if fine else None


def _quietly(kv: ts.KvStore, key: str, value: bytes | None) -> None:
    with contextlib.suppress(ValueError):  # a full disk: the run itself says so when it writes a batch
        kv.write(key, value).result()
