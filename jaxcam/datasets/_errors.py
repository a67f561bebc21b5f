"""Errors of storage, in the words of the operating system."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cannot_write(location: str) -> Iterator[None]:
    """Turns what tensorstore says of a write that failed into an OSError that says what to do."""
    try:
        yield
    except ValueError as error:
        code = next((code for code in (errno.ENOSPC, errno.EDQUOT) if os.strerror(code) in str(error)), None)
        if code is None:
            raise OSError(f"cannot write to {location}: {error}") from error
        raise OSError(
            code,
            f"{os.strerror(code)}: what is written stays valid; make room and run the same command again",
            location,
        ) from error
