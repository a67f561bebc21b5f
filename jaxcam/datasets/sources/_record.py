"""Records of a data set, errors of those that cannot be read, and the protocol of a source."""

import abc
import errno
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image

from ...files._decode import Unreadable

Boxes = tuple[tuple[float, float, float, float], ...]

# Of the machine, not of the record: too many open files, or no memory for another.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Record(NamedTuple):
    """One picture of a data set.

    Attributes:
        picture: upright RGB; or floats (H, W, 3), preprocessed already, which the model takes as they are, or, in a
            source of arrays as they are, floats (*space, C) of a signal, a picture or a volume; None in a batch of the
            feed, where it has become a row of images.
        path: what the record is called: a path in its folder or manifest, or `digits.npy[17]`.
        digest: sha256 of the encoded bytes of a file, or of an array's, 32 bytes.
        label: the class that the source says, or None.
        boxes: rows of x0, y0, x1, y1 in pixels of the picture.
    """

    picture: Image.Image | Float[np.ndarray, "*space C"] | None
    path: str
    digest: bytes
    label: int | None = None
    boxes: Boxes = ()


@runtime_checkable
class Source(Protocol):
    """A data set: records by number, read by several threads at once.

    Attributes:
        kind: "folder", "manifest", "array", "arrayrecord" or "sequence".
        location: where it lies, in words.
        classes: names of the classes that labels number, where the source says them.
    """

    @property
    def kind(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...] | None: ...
    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Record:
        """Raises Unreadable for a record that cannot be used, IndexError for one that does not exist."""
        ...

    def name(self, i: int, /) -> str:
        """Name of record `i`, without reading it."""
        ...

    def fingerprint(self) -> str:
        """sha256 of the records' names, labels and sizes in bytes: distinguishes data sets."""
        ...


class Guarded(abc.ABC):
    """A source whose `read` may raise anything: out of `source[i]` comes a record, or Unreadable."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def read(self, i: int) -> Record: ...

    def __getitem__(self, i: int) -> Record:
        i = operator.index(i)
        if not 0 <= i < len(self):
            raise IndexError(f"no record {i}: there are {len(self)}")
        with guarded():
            return self.read(i)

    def digest(self, i: int) -> bytes:
        """The digest that record `i` would have, without decoding it where that can be; raises as `[i]`."""
        return self[i].digest


@contextmanager
def guarded() -> Iterator[None]:
    """Whatever reading or decoding a record raises becomes Unreadable, with that for a reason: one record ends no run.

    Raises OSError where the machine is short of open files or of memory.
    """
    try:
        yield
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("needs more memory than there is") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            raise
        raise Unreadable(f"{type(error).__name__}: {error}".strip().splitlines()[0]) from error


def as_text(path: str) -> str:
    """A path as text that can be written anywhere: a mark stands for bytes that are not text."""
    return os.fsencode(path).decode("utf-8", "replace")
