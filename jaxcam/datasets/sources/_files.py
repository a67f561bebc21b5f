"""Files of a source: what may be opened, and whether it is still the same."""

import hashlib
import os
import stat
from pathlib import Path

from ...files._decode import Unreadable, is_systems, why_absent


def size_of(path: str) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def time_of_change(path: str) -> float:
    """When a file was written, renamed or replaced, as the file system says, in seconds; 0.0 where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0.0
    return max(found.st_mtime, found.st_ctime)


def digest_of_file(path: str) -> bytes:
    """sha256 of a file's bytes. Raises Unreadable where there is none, OSError where it cannot be read."""
    if absent := why_absent(path):
        raise Unreadable(absent)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_file(path: Path) -> None:
    """Raises ValueError for a pipe, a device or a file of the operating system: to open one may block for ever."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{str(path)!r} is a pipe or a device, not a file")
    if is_systems(path):
        raise ValueError(f"{str(path)!r} is a file of the operating system, which may have no end")
