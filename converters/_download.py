"""Downloads a file whose sha256 is known in part: resumed where it was cut, verified, and moved to its name whole."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

_BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that a later request may not get
_CUT = (URLError, TimeoutError, ConnectionError, HTTPException)

Tell = Callable[[int, int | None], None]  # bytes that are there, bytes of the whole file if known


def download(
    url: str, target: Path, *, sha256: str, timeout: float = 30.0, attempts: int = 3, pause: float = 1.0
) -> None:
    """The file at `url` as `target`, unless `target` is there already.

    What arrives lies beside it in a .part file, and the next attempt, or the next call, asks for the rest. A
    process that wants a file which another is downloading waits for it.

    Args:
        url: of http or https.
        target: where the file goes; its folder is made.
        sha256: how the file's digest begins, in hexadecimal.
        timeout: seconds without a byte after which an attempt has failed.
        attempts: failures one after the other, no byte further, until this gives up.
        pause: seconds after the first of them; doubled after each.

    Raises:
        ConnectionError: it cannot be had. The .part file stays.
        ValueError: another file came than `sha256` says. It is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target) as part, _progress(target.name) as tell:
        if target.exists():  # another process was first
            return
        glued = _complete(url, part, tell, timeout=timeout, attempts=attempts, pause=pause)
        if glued and not _digest(part).startswith(sha256):
            part.unlink()  # its pieces may be of two files: the one on the server has changed
            _complete(url, part, tell, timeout=timeout, attempts=attempts, pause=pause)
        if not (digest := _digest(part)).startswith(sha256):
            part.unlink()
            raise ValueError(
                f"{url} gave a file with sha256 {digest}, and it should begin with {sha256}: it was removed"
            )
        part.replace(target)


def _complete(url: str, part: Path, tell: Tell, *, timeout: float, attempts: int, pause: float) -> bool:
    """Fills `part`; true where it is of several answers."""
    best, failures = _size(part), 0
    glued = best > 0
    while True:
        try:
            _transfer(url, part, tell, timeout=timeout)
            return glued
        except HTTPError as error:
            error.close()
            if error.code == 416:  # nothing lies beyond `part`: it is the file, or of a longer one
                if error.headers.get("Content-Range") == f"bytes */{_size(part)}":
                    return glued
                part.unlink(missing_ok=True)
            elif error.code not in _PASSING:
                raise ConnectionError(f"HTTP {error.code} {error.reason}") from error
            reason: Exception = error
        except _CUT as error:
            reason = error
        reached = _size(part)
        failures = 0 if reached > best else failures + 1
        if failures == attempts:
            raise ConnectionError(f"{getattr(reason, 'reason', None) or reason}") from reason
        best, glued = max(best, reached), reached > 0
        time.sleep(pause * 2 ** max(failures - 1, 0))


def _transfer(url: str, part: Path, tell: Tell, *, timeout: float) -> None:
    """One request: for what `part` lacks, or for all where the server does not serve parts."""
    there = _size(part)
    headers = {"User-Agent": "jaxcam", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
        if answer.status == 206:
            found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != there:
                part.unlink()
                raise ConnectionError(f"the server gave other bytes than those from {there} on")
        else:
            there = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else there + int(length)
        with part.open("ab" if there else "wb") as file:
            tell(there, total)
            while block := answer.read1(_BLOCK):
                file.write(block)
                there += len(block)
                tell(there, total)
    if total is not None and there != total:
        raise ConnectionError(f"the connection closed after {there} of {total} bytes")


@contextmanager
def _alone(target: Path) -> Iterator[Path]:
    """The .part file, for one process at a time: the others wait. Where none can wait, each has its own."""
    if fcntl is None:
        yield target.with_name(f"{target.name}.{os.getpid()}.part")
        return
    lock = target.with_name(f"{target.name}.lock")
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield target.with_name(f"{target.name}.part")
        # whoever waits for this lock, or makes a new one, finds the file: without it the lock must stay
        if target.exists():
            lock.unlink(missing_ok=True)


@contextmanager
def _progress(title: str) -> Iterator[Tell]:
    """Shows a bar on a terminal's standard error, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda there, total: bar.update(task, completed=there, total=total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
