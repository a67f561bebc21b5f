"""A folder tree of pictures, with or without a folder for each class."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .._labels import Labels
from .._pictures import SUFFIXES, named_as_picture
from ._classes import is_synset, number
from ._decode import decode_file
from ._record import Guarded, Record, as_text


class Folder(Guarded):
    """The pictures below a folder, in natural order (2.jpg before 10.jpg), whatever order the disk lists them in.

    Hidden files and files without a picture's ending are left out; links are followed, but not round in circles.
    """

    kind = "folder"

    def __init__(self, root: Path, *, recursive: bool, classes: Labels | None):
        self.root, self.location = root, str(root)
        self._paths = sorted(_walk(root) if recursive else _beside(root), key=natural)
        if not self._paths:
            where = "below" if recursive else "in"
            raise ValueError(f"no picture {where} the folder {str(root)!r}: looked for {', '.join(SUFFIXES)}")
        owners = _owners(self._paths, named=classes is not None)
        if owners is None and classes is not None:
            raise ValueError(f"classes= needs class folders: {as_text(self._paths[0])!r} lies in none")
        self.classes, numbers = number(owners, classes) if owners else (None, {})
        self._labels = [numbers[owner] for owner in owners] if owners else None

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, i: int) -> str:
        return as_text(self._paths[i])

    def read(self, i: int) -> Record:
        picture, digest = decode_file(os.path.join(self.root, self._paths[i]))
        return Record(picture, self.name(i), digest, self._labels[i] if self._labels else None)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for i, path in enumerate(self._paths):
            size = size_of(os.path.join(self.root, path))
            label = self._labels[i] if self._labels else None
            digest.update(os.fsencode(path) + f"\0{size} {label}\n".encode())
        return digest.hexdigest()


def size_of(path: str) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def natural(path: str) -> tuple[list[str | int], str]:
    """Sorts numbers by value; paths that differ in leading zeros alone by their text."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", path)]
    return parts, path


def _walk(root: Path) -> Iterator[str]:
    def refuse(error: OSError):
        raise error

    for here, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = [each for each in folders if not each.startswith(".") and not _leads_back(here, each)]
        below = os.path.relpath(here, root)
        for each in filter(named_as_picture, files):
            yield each if below == "." else f"{below}/{each}"


def _leads_back(here: str, folder: str) -> bool:
    """A link to a folder that holds it would be walked for ever."""
    path = os.path.join(here, folder)
    return os.path.islink(path) and Path(here).resolve().is_relative_to(Path(path).resolve())


def _beside(root: Path) -> Iterator[str]:
    return (each.name for each in os.scandir(root) if named_as_picture(each.name) and not each.is_dir())


def _owners(paths: Sequence[str], *, named: bool) -> list[str] | None:
    """The class folder of each picture, or None.

    The folder that holds it where those are all synsets; else the topmost, where each picture lies in one and there
    are several (or the classes were `named`): a single folder more likely just holds the pictures.
    """
    folders = [os.path.dirname(path).split("/") for path in paths]
    if all(is_synset(each[-1]) for each in folders):
        return [each[-1] for each in folders]
    tops = [each[0] for each in folders]
    return tops if all(tops) and (named or len(set(tops)) > 1) else None
