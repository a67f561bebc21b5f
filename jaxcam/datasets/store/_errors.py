"""Errors of storage, in the words of the operating system."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

GONE = "the store was removed or replaced while the run was writing"


@contextmanager
def cannot_write(location: str) -> Iterator[None]:
    """Turns what tensorstore says of a write that failed into an OSError that says what to do."""
    try:
        yield
    except ValueError as error:
        found = re.search(r"os_error_code='(\d+)'", str(error))
        if found is None:
            raise OSError(f"cannot write to {location}: {error}") from error
        reason = GONE if int(found[1]) == errno.ENOENT else os.strerror(int(found[1]))
        if int(found[1]) in (errno.ENOSPC, errno.EDQUOT):
            reason += ": what is written stays valid; make room and run the same command again"
        raise OSError(int(found[1]), reason, location) from error
