"""A folder tree of pictures, with or without a folder for each class."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .._decode import decode_file
from .._labels import Labels
from .._pictures import SUFFIXES, named_as_picture
from ._classes import is_synset, number
from ._record import Guarded, Record, as_text


class Folder(Guarded):
    """The pictures below a folder, in natural order (2.jpg before 10.jpg), whatever order the disk lists them in.

    Hidden files and files without a picture's ending are left out; links are followed, but not round in circles.
    """

    kind = "folder"

    def __init__(self, root: Path, *, recursive: bool, classes: Labels | None):
        self.root, self.location = root, str(root)
        self._paths = list(_walk(root, recursive=recursive))
        if not self._paths:
            where = "below" if recursive else "in"
            raise ValueError(f"no picture {where} the folder {str(root)!r}: looked for {', '.join(SUFFIXES)}")
        folders = list(dict.fromkeys(map(os.path.dirname, self._paths)))
        owners = _owners(folders, named=classes is not None)
        if owners is None and classes is not None:
            raise ValueError(f"classes= needs class folders: {as_text(self._paths[0])!r} lies in none")
        self.classes, numbers = number(owners.values(), classes) if owners else (None, {})
        self._label_of = {folder: numbers[owner] for folder, owner in owners.items()} if owners else {}

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, i: int) -> str:
        return as_text(self._paths[i])

    def _label(self, i: int) -> int | None:
        return self._label_of.get(os.path.dirname(self._paths[i]))

    def read(self, i: int) -> Record:
        picture, digest = decode_file(os.path.join(self.root, self._paths[i]))
        return Record(picture, self.name(i), digest, self._label(i))

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for i, path in enumerate(self._paths):
            size = size_of(os.path.join(self.root, path))
            digest.update(os.fsencode(path) + f"\0{size} {self._label(i)}\n".encode())
        return digest.hexdigest()


def size_of(path: str) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def natural(path: str) -> tuple[list[str | int], str]:
    """Sorts numbers by value; paths that differ in leading zeros alone by their text."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path))
    parts[1::2] = map(int, parts[1::2])
    return parts, path


def _walk(root: Path, *, recursive: bool) -> Iterator[str]:
    def refuse(error: OSError):
        raise error

    for here, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        inside = [each for each in folders if not each.startswith(".") and not _leads_back(here, each)]
        folders[:] = sorted(inside, key=natural) if recursive else []
        below = os.path.relpath(here, root)
        for each in sorted(filter(named_as_picture, files), key=natural):
            yield each if below == "." else f"{below}/{each}"


def _leads_back(here: str, folder: str) -> bool:
    """A link to a folder that holds it would be walked for ever."""
    path = os.path.join(here, folder)
    return os.path.islink(path) and Path(here).resolve().is_relative_to(Path(path).resolve())


def _owners(folders: Sequence[str], *, named: bool) -> dict[str, str] | None:
    """The class folder of the pictures in each folder, or None.

    It is the folder itself where all are synsets; else the topmost, where each picture lies in one and there are
    several (or the classes were `named`): a single folder more likely just holds the pictures.
    """
    itself = {each: each.rpartition("/")[2] for each in folders}
    if all(map(is_synset, itself.values())):
        return itself
    topmost = {each: each.partition("/")[0] for each in folders}
    several = named or len(set(topmost.values())) > 1
    return topmost if several and all(folders) else None
