"""ArrayRecord files of encoded pictures, or of whatever a function decodes."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..._errors import foreign
from ._files import check_file, size_of
from ._items import record_of
from ._record import Guarded, Record

SUFFIXES = (".array_record", ".arrayrecord")


class ArrayRecord(Guarded):
    """The records of one file or several, in the order of the files.

    Args:
        paths: the files, one at least.
        location: the file or the folder that they are in.
        decode: makes of a record's bytes what `record_of` takes; by default they are an encoded picture.

    Raises ImportError without the package array_record, ValueError for what is not such a file.
    """

    kind = "arrayrecord"
    classes = None

    def __init__(self, paths: Sequence[Path], *, location: Path, decode: Callable[[bytes], Any] | None):
        try:
            from array_record.python.array_record_data_source import ArrayRecordDataSource
        except ImportError as error:
            raise ImportError(
                "ArrayRecord files are read by the package array_record: pip install 'jaxcam[data]'"
            ) from error
        for path in paths:
            check_file(path)
        self.location, self._paths, self._decode = str(location), [str(path) for path in paths], decode
        with foreign(f"{location} is not an ArrayRecord"):
            self._records = ArrayRecordDataSource(self._paths)
            count = len(self)  # opens the files
        if not count:
            raise ValueError(f"{location} holds no record")
        self._called = location.name

    def __len__(self) -> int:
        return len(self._records)

    def name(self, i: int) -> str:
        return f"{self._called}[{i}]"

    def read(self, i: int) -> Record:
        encoded = self._records[i]
        return record_of(encoded if self._decode is None else self._decode(encoded), self.name(i))

    def digest(self, i: int) -> bytes:
        return super().digest(i) if self._decode else hashlib.sha256(self._records[i]).digest()

    def fingerprint(self) -> str:
        files = [f"{Path(path).name} {size_of(path)}" for path in self._paths]
        return hashlib.sha256("\n".join([*files, str(len(self))]).encode()).hexdigest()
