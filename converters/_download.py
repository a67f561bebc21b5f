"""Downloads a file whose sha256 is known in part: resumed where it was cut, verified, and moved to its name whole.

Own code, because pooch, the usual library for this, lacks what is here: it starts anew where a download was cut (no
Range requests), two processes that want one file both download it (no lock), it knows whole digests alone (published
names end in the first 8 to 10 digits), and it limits neither the size nor the time of an answer. What it has beyond
this, folders of caches and registries of files, is a few lines of `_fetch` and the table of published checkpoints.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jaxcam._terminal import Bar, bar

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

_BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that a later request may not get
_LARGEST = 4 << 30  # bytes; the largest published checkpoint has 2.6 GB
_SLOWEST = 4096.0  # bytes a second


class _Cut(Exception):
    """The server or the network failed; another attempt may not."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    timeout: float = 30.0,
    attempts: int = 3,
    pause: float = 1.0,
    largest: int = _LARGEST,
    slowest: float = _SLOWEST,
) -> None:
    """The file at `url` as `target`, unless `target` is there already and has that digest.

    What arrives lies beside it in a .part file, and the next attempt, or the next call, asks for the rest. A
    process that wants a file which another is downloading waits for it.

    Args:
        url: of http or https. Redirects to other schemes, or from https to http, are not followed.
        target: where the file goes; its folder is made.
        sha256: how the file's digest begins, in hexadecimal.
        timeout: seconds without a byte after which an attempt has failed.
        attempts: failures one after the other, no byte further, until this gives up.
        pause: seconds after the first of them; doubled after each.
        largest: bytes that the file may have.
        slowest: bytes a second that must arrive on average after the first `attempts * timeout` seconds.

    Raises:
        ConnectionError: it cannot be had, it comes too slowly or is too large, or another process is downloading it
            and comes no further. The .part file stays unless it is too large.
        ValueError: another file came than `sha256` says. It is removed.
        OSError: the folder or the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    patience = attempts * timeout
    with _alone(target, patience) as part, bar(target.name, unit="bytes") as drawn:
        if is_verified(target, sha256):  # another process was first
            return
        clock = _Clock(patience, slowest)

        def complete() -> bool:
            return _complete(
                url, part, drawn, clock, timeout=timeout, attempts=attempts, pause=pause, largest=largest
            )

        _remove_if_odd(part)
        glued = complete()
        if glued and not is_verified(part, sha256):
            part.unlink()  # its pieces may be of two files: the one on the server has changed
            complete()
        if not (digest := _digest(part)).startswith(sha256):
            part.unlink()
            raise ValueError(
                f"{url} gave a file with sha256 {digest}, and it should begin with {sha256}: it was removed"
            )
        part.replace(target)


def is_verified(path: Path, sha256: str) -> bool:
    """Whether a file is there and its digest begins so. Costs about a second for each gigabyte."""
    return path.is_file() and path.stat().st_size > 0 and _digest(path).startswith(sha256)


class _Clock:
    """Gives up a download that is slower than it may be on average."""

    def __init__(self, patience: float, slowest: float):
        self._start, self._patience, self._slowest = time.monotonic(), patience, slowest
        self._received = 0

    def check(self, received: int) -> None:
        """Counts the bytes of a block. Raises ConnectionError."""
        self._received += received
        if time.monotonic() - self._start > self._patience + self._received / self._slowest:
            raise ConnectionError(
                f"the server is too slow: {self._received} bytes in {time.monotonic() - self._start:.0f} seconds"
            )


def _complete(
    url: str,
    part: Path,
    drawn: Bar,
    clock: _Clock,
    *,
    timeout: float,
    attempts: int,
    pause: float,
    largest: int,
) -> bool:
    """Fills `part`; true where it is of several answers."""
    best, failures = _size(part), 0
    glued = best > 0
    while True:
        try:
            _transfer(url, part, drawn, clock, timeout=timeout, largest=largest)
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
        except _Cut as error:
            reason = error
        reached = _size(part)
        failures = 0 if reached > best else failures + 1
        if failures == attempts:
            raise ConnectionError(f"{getattr(reason, 'reason', None) or reason}") from reason
        best, glued = max(best, reached), reached > 0
        clock.check(0)
        time.sleep(pause * 2 ** max(failures - 1, 0))


def _transfer(url: str, part: Path, drawn: Bar, clock: _Clock, *, timeout: float, largest: int) -> None:
    """One request: for what `part` lacks, or for all where the server does not serve parts."""
    # Ask for what is missing.
    there = _size(part)
    headers = {"User-Agent": "jaxcam", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    with _network():
        answer = urlopen(Request(url, headers=headers), timeout=timeout)
    with answer:
        # Find out which bytes come.
        if answer.status == 206:
            found = re.match(r"bytes (\d{1,18})-", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != there:
                part.unlink()
                raise _Cut(f"the server gave other bytes than those from {there} on")
        else:
            there = 0
        length = answer.headers.get("Content-Length")
        if length is not None and not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            raise _Cut(f"the server gave a Content-Length that is not a number: {length[:40]!r}")
        total = None if length is None else there + int(length)
        # Write them as they come.
        with _open(part, append=there > 0) as file:
            drawn.show(done=there, total=total)
            while there <= (largest if total is None else min(total, largest)):
                with _network():
                    block = answer.read1(_BLOCK)
                if not block:
                    break
                file.write(block)
                there += len(block)
                clock.check(len(block))
                drawn.show(done=there, total=total)
    if max(there, total or 0) > largest:
        part.unlink()
        raise ConnectionError(
            f"the server gives {total or 'more'} bytes, and a checkpoint has at most {largest}"
        )
    if total is not None and there != total:
        raise _Cut(f"the connection closed after {there} of {total} bytes")


def urlopen(request: Request, timeout: float):
    return build_opener(_Redirects).open(request, timeout=timeout)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https, as urllib does, but not to ftp and not from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        kept = ("https",) if req.type == "https" else ("http", "https")
        if newurl.partition(":")[0].lower() not in kept:
            raise HTTPError(
                newurl[:200], code, f"redirects to {newurl[:200]}, which is not followed", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _network() -> Iterator[None]:
    """Tells errors of the network and of a broken answer from those of the disk."""
    try:
        yield
    except HTTPError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise _Cut(f"{getattr(error, 'reason', None) or error}") from error


@contextmanager
def _alone(target: Path, patience: float) -> Iterator[Path]:
    """The .part file, for one process at a time: the others wait. Where none can wait, each has its own."""
    if fcntl is None:
        yield target.with_name(f"{target.name}.{os.getpid()}.part")
        return
    part, lock = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.lock")
    with _open(lock, append=True) as file:
        seen, since = -1, time.monotonic()
        while not _locked(file):
            if (size := _size(part)) != seen:
                seen, since = size, time.monotonic()
            if time.monotonic() - since > 2 * patience:
                raise ConnectionError(
                    f"another process holds {lock} and has come no further for {2 * patience:.0f} seconds: end it, or "
                    "remove that file"
                )
            time.sleep(0.05)
        yield part
        # whoever waits for this lock, or makes a new one, finds the file: without it the lock must stay
        if target.exists():
            lock.unlink(missing_ok=True)


def _locked(file: BinaryIO) -> bool:
    """Takes the lock of an open file if it is free."""
    assert fcntl is not None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_odd(part: Path) -> None:
    """Removes a link or a named pipe that lies where the .part file goes: it would lead what is written elsewhere."""
    try:
        found = part.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) and not (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
        part.unlink()


def _open(path: Path, *, append: bool) -> BinaryIO:
    """A file to write, made where it is not there. Links are not followed, and nothing is waited for."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab" if append else "wb")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
