"""A folder tree of pictures, with or without a folder for each class."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...files._decode import decode_file
from ...files._labels import Labels
from ...files._pictures import SUFFIXES, named_as_picture
from ._classes import is_synset, number
from ._files import digest_of_file, is_systems, size_of, time_of_change
from ._record import Guarded, Record, as_text

# Endings of pictures that are not read: a camera's, a phone's, drawings.
OTHERS = (
    *(
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jxr",
        ".hdr",
        ".exr",
        ".dng",
        ".raw",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
    ),
    *(".orf", ".rw2", ".raf", ".psd", ".svg", ".eps", ".pdf", ".ico", ".tga", ".pcx", ".dcm", ".nii"),
)


class Folder(Guarded):
    """The pictures below a folder, in natural order (2.jpg before 10.jpg), whatever order the disk lists them in.

    Hidden files and files without a picture's ending are left out. Links are followed, and every real folder is walked
    once, so that links across or round in circles repeat nothing.

    Attributes:
        left_out: how many pictures of kinds that are not read there are, in words; "" for none.
    """

    kind = "folder"

    def __init__(self, root: Path, *, recursive: bool, classes: Labels | None):
        self.root, self.location = root, str(root)
        self._paths: list[str] = []
        others: Counter[str] = Counter()
        for folder, files in _walk(root, recursive=recursive):
            self._paths += [folder + each for each in files if named_as_picture(each)]
            others.update(os.path.splitext(each)[1].lower() for each in files if not each.startswith("."))
        others = Counter({ending: others[ending] for ending in OTHERS if others[ending]})
        kinds = ", ".join(f"{count} {ending}" for ending, count in others.most_common())
        self.left_out = f"pictures of kinds that are not read are left out: {kinds}" if kinds else ""
        if not self._paths:
            where = "below" if recursive else "in"
            raise ValueError(
                f"no picture {where} the folder {str(root)!r}: looked for {', '.join(SUFFIXES)}"
                + (f"; {self.left_out}" if kinds else "")
            )
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
        picture, digest = decode_file(self._file(i))
        return Record(picture, self.name(i), digest, self._label(i))

    def _file(self, i: int) -> str:
        return os.path.join(self.root, self._paths[i])

    def digest(self, i: int) -> bytes:
        return digest_of_file(self._file(i))

    def changed(self, i: int) -> float:
        return time_of_change(self._file(i))

    def labels(self) -> list[int | None]:
        return [self._label(i) for i in range(len(self))]

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for i, path in enumerate(self._paths):
            size = size_of(self._file(i))
            digest.update(os.fsencode(path) + f"\0{size} {self._label(i)}\n".encode())
        return digest.hexdigest()


def natural(path: str) -> tuple[list[str | int], str]:
    """Sorts numbers by value; paths that differ in leading zeros alone by their text."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path))
    parts[1::2] = map(int, parts[1::2])
    return parts, path


def _walk(root: Path, *, recursive: bool) -> Iterator[tuple[str, list[str]]]:
    """Every real folder once: its path from `root`, and its files. A link is followed to a folder that is not itself
    below `root` and was not walked before."""

    def refuse(error: OSError):
        raise error

    walked = {_identity(os.fspath(root))}
    below: set[tuple[int, int]] | None = None  # folders below root without any link

    for here, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        inside = []
        for each in sorted((each for each in folders if not each.startswith(".")), key=natural):
            path = os.path.join(here, each)
            number, twice = _identity(path), False
            if os.path.islink(path):
                below = _real_folders(root) if below is None else below
                twice = number in below or _leads_back(here, path)
            if recursive and not twice and number not in walked and not is_systems(path):
                walked.add(number)
                inside.append(each)
        folders[:] = inside
        folder = os.path.relpath(here, root)
        yield "" if folder == "." else f"{folder}/", sorted(files, key=natural)


def _real_folders(root: Path) -> set[tuple[int, int]]:
    found = set()
    for here, folders, _ in os.walk(root):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found.add(_identity(here))
    return found


def _identity(folder: str) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _leads_back(here: str, folder: str) -> bool:
    """Whether a link leads to a folder that holds it: beside it lies what is not of this data set."""
    return Path(here).resolve().is_relative_to(Path(folder).resolve())


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
