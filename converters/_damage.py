"""Errors of damaged files, and the largest sizes that a file may claim.

A file from a stranger can ask for any amount of memory or time with a few bytes. Each reader therefore bounds what it
counts by the constants here, and converts what the parsers of other libraries raise, by `parsing`, right at the call:
an error of our own code (TypeError, LookupError) is not mistaken for a damaged file.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = 50_000  # arrays or archive members in one file; the deepest published model has 7,000
OPERATIONS = 2_000_000  # of one pickle, about 40 an array
PICKLE = 1 << 26  # bytes of one pickle
DIMENSIONS = 64  # of one array: numpy's maximum, and torch's
_ROOM = 1 << 28


class Damaged(ValueError):
    """The content does not follow the format."""


def largest(size: int) -> int:
    """The number of bytes that the arrays of a file of `size` bytes may have, uncompressed and written out."""
    return 4 * size + _ROOM


def short(value: object, *, length: int = 300) -> str:
    """The text of an error or a string, cut where it is long: a file may hold a name of many megabytes."""
    text = str(value)
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


@contextmanager
def parsing(what: str, *, small: bool = False) -> Iterator[None]:
    """Converts every error that a parser of another library raises into `Damaged`.

    Only calls of that parser belong inside. An OSError stays one unless it comes from a damaged offset into the file.
    A MemoryError stays one, because what a file may claim has been checked before, unless what is parsed is `small`:
    then it is Python's own parser's, of too many brackets.
    """
    try:
        yield
    except Damaged:
        raise
    except MemoryError as error:
        if not small:
            raise
        raise Damaged(f"{what}: too many brackets or signs") from error
    except OSError as error:
        if error.errno not in (errno.EINVAL, None):
            raise
        raise Damaged(f"{what}: {short(error)}") from error
    except Exception as error:  # these parsers document few of the errors they raise
        raise Damaged(f"{what}: {short(error) or type(error).__name__}") from error
