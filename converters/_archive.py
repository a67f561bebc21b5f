"""Zip archives from strangers: bounded in members and bytes, and without bytes that two members share."""

import io
import itertools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._damage import NAMES, Damaged, largest, parsing

_BLOCK = 1 << 20
_HEADER = 30  # bytes before each member, at least


class Archive:
    """An open zip archive.

    Attributes:
        names: of its members, each once.
        packed: the names of those that are compressed.
    """

    def __init__(self, file: zipfile.ZipFile):
        self._file = file
        self.names = file.namelist()
        self.packed = [each.filename for each in file.infolist() if each.compress_type != zipfile.ZIP_STORED]

    def read(self, name: str) -> memoryview:
        """The content of one member, read-only. Raises Damaged where it is not there, is cut or fails its CRC."""
        with parsing(f"its record {name}"):
            info = self._file.getinfo(name)
            content = bytearray(info.file_size)
            view, place = memoryview(content), 0
            with self._file.open(info) as member:
                # in blocks: zipfile decompresses as much as it is asked for, and only then looks at the size
                while block := member.read(_BLOCK):
                    view[place : place + len(block)] = block
                    place += len(block)
            if place != info.file_size:
                raise Damaged(f"its record {name} has {place} of {info.file_size} bytes")
        return view.toreadonly()


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """The zip archive at `path`.

    Raises:
        Damaged: it is not a zip archive.
        ValueError: more members than `NAMES`, two of one name, members that overlap, a compression other than
            deflate, or more bytes than `largest` allows.
    """
    with _Directory(path) as stream:
        with parsing("its zip directory"):
            file = zipfile.ZipFile(stream)
        with file:
            _check(file, path.stat().st_size)
            stream.bounded = False
            yield Archive(file)


class _Directory(io.FileIO):
    """A file that refuses large reads at first: zipfile reads a directory at once, before it can be counted."""

    bounded = True

    def read(self, size: int | None = -1, /) -> bytes | None:
        if self.bounded and size is not None and size > NAMES * 512:
            raise ValueError(f"a directory of {size} bytes")
        return super().read(-1 if size is None else size)


def _check(file: zipfile.ZipFile, size: int) -> None:
    members = sorted(file.infolist(), key=lambda each: each.header_offset)
    if len(members) > NAMES:
        raise ValueError(f"refused: it holds {len(members)} records, and at most {NAMES} are read")
    if len(set(file.namelist())) < len(members):
        raise ValueError("refused: it holds two records of one name")
    starts = [each.header_offset for each in members] + [file.start_dir]
    for each, (start, end) in zip(members, itertools.pairwise(starts), strict=True):
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"refused: its record {each.filename} is compressed by another way than deflate")
        if start < 0 or start + _HEADER + each.compress_size > end:
            raise Damaged(f"its record {each.filename} overlaps the next")
        if each.compress_type == zipfile.ZIP_STORED and each.compress_size != each.file_size:
            raise Damaged(f"its record {each.filename} has two sizes")
    if (total := sum(each.file_size for each in members)) > largest(size):
        raise ValueError(
            f"refused: its records have {total} bytes, and a file of {size} may hold {largest(size)}"
        )
