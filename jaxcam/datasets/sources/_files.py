"""Files of a source: what may be opened, and whether it is still the same."""

import hashlib
import os
import stat
from pathlib import Path

from ...files._decode import Unreadable, is_systems, why_absent


def size_of(path: str) -> int:
    """Size of a file in bytes; -1 if it does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def time_of_change(path: str) -> float:
    """Time of a file's last change in seconds, from the file system; 0.0 if the file does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return 0.0
    return max(found.st_mtime, found.st_ctime)


def digest_of_file(path: str) -> bytes:
    """sha256 of a file's bytes. Raises Unreadable if it does not exist, OSError if it cannot be read."""
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
