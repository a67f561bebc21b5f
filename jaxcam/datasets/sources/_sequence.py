"""Any Python object with `len` and `[i]`: a list, a PyTorch data set, a Grain MapDataset."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from ._items import record_of
from ._record import Guarded, Record, Unreadable, as_text


@runtime_checkable
class Indexed(Protocol):
    """Anything with `len` and `[i]`."""

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> object: ...


class Items(Guarded):
    """Records from the items of an object, which several threads ask for at once.

    Args:
        items: what has `len` and `[i]`.
        called: what records are named after: `MapDataset[17]`.
        decode: makes of an item what `record_of` takes.
        preprocessed: items are arrays of floats of any rank.
    """

    kind = "sequence"
    classes = None

    def __init__(
        self,
        items: Indexed,
        *,
        called: str,
        decode: Callable[[Any], Any] | None = None,
        preprocessed: bool = False,
    ):
        if isinstance(items, Mapping | set | frozenset) or not all(
            hasattr(items, each) for each in ("__len__", "__getitem__")
        ):
            raise TypeError(
                f"a data set is a path, or an object with len and [i]; got {type(items).__name__}"
            )
        self.items, self.location, self._decode = items, called, decode
        self._preprocessed = preprocessed
        if not len(self):
            raise ValueError(f"{called} is empty")

    def __len__(self) -> int:
        return len(self.items)

    def name(self, i: int) -> str:
        if isinstance(self.items, list | tuple) and isinstance(self.items[i], str | os.PathLike):
            return as_text(os.fspath(self.items[i]))
        return f"{self.location}[{i}]"

    def read(self, i: int) -> Record:
        item = self.items[i]
        item = item if self._decode is None else self._decode(item)
        return record_of(item, self.name(i), preprocessed=self._preprocessed)

    def fingerprint(self) -> str:
        told = [self.location, *(self.name(i) for i in range(len(self)))]
        # most objects name nothing: three items stand for all
        told += [self._look(i) for i in (0, len(self) // 2, len(self) - 1)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    def _look(self, i: int) -> str:
        try:
            record = self[i]
        except Unreadable as error:
            return error.digest.hex()
        return f"{record.digest.hex()} {record.label}"
