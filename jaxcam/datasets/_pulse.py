"""A sign of life in the store, `alive-<process>.json`: so that a second run knows of the first. It locks nothing.

Two runs that start in the same instant would both go on, and write the same bytes twice: a waste, and no harm.
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
from typing import Any

import tensorstore as ts

BEAT = 10.0  # seconds between signs
DEAD = 60.0  # seconds without one


@contextmanager
def pulse(kv: ts.KvStore, process: int, processes: int) -> Iterator[None]:
    """Gives signs of life until the block ends."""
    key, over = f"alive-{process}.json", threading.Event()

    def beat() -> None:
        while True:
            sign = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "time": time.time(),
                "processes": processes,
            }
            _quietly(kv, key, json.dumps(sign).encode())
            if over.wait(BEAT):
                return

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
        found = re.fullmatch(r"alive-(\d+)\.json", key.decode())
        sign = _read(kv, key) if found else None
        if found and sign and _is_alive(sign):
            signs[int(found[1])] = sign
    return signs


def check_alone(kv: ts.KvStore, location: str, process: int, processes: int) -> None:
    """Raises ValueError where another run has this process's share, or a part of it."""
    for number, sign in living(kv).items():
        if (sign["pid"], sign["host"]) == (os.getpid(), socket.gethostname()):
            continue  # of before a restart: in a container every run has the same number and host
        if number == process or sign["processes"] != processes:
            wait = max(1, round(DEAD - (time.time() - sign["time"])))
            raise ValueError(
                f"another run is writing to {location!r}: process {sign['pid']} on {sign['host']} is number "
                f"{number} of {sign['processes']}; if it was killed, wait {wait} s"
            )


def _is_alive(sign: dict[str, Any]) -> bool:
    if time.time() - sign["time"] > DEAD:
        return False
    if sign["host"] != socket.gethostname():
        return True
    try:
        os.kill(sign["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(kv: ts.KvStore, key: bytes) -> dict[str, Any] | None:
    try:
        return json.loads(kv.read(key).result().value)
    except ValueError:  # gone, or cut short by a full disk
        return None


def _quietly(kv: ts.KvStore, key: str, value: bytes | None) -> None:
    with contextlib.suppress(ValueError):  # a full disk: the run itself says so when it writes a batch
        kv.write(key, value).result()
