"""A folder tree of pictures, with or without a folder for each class."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ...files._decode import decode_file
from ...files._labels import Labels
from ...files._walk import pictures_below
from ._classes import is_synset, number
from ._files import digest_of_file, size_of, time_of_change
from ._record import Guarded, Record, as_text


class Folder(Guarded):
    """The pictures below a folder, as `pictures_below` finds and orders them.

    Attributes:
        left_out: how many pictures of kinds that are not read there are, in words; "" for none.
    """

    kind = "folder"

    def __init__(self, root: Path, *, recursive: bool, classes: Labels | None):
        self.root, self.location = root, str(root)
        self._paths, self.left_out = pictures_below(root, recursive=recursive)
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
