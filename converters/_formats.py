"""The table of checkpoint formats: how each is recognised, read and written, and what it is called."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcam._errors import listed
from jaxcam.files._members import META, PROGRAM

from ._archive import archive
from ._legacy import MAGIC, read_legacy
from ._npz import read_npz, write_npz
from ._orbax import orbax_metadata, read_orbax, write_orbax
from ._safetensors import read_safetensors, safetensors_metadata, write_safetensors
from ._zip import read_zip

_HEAD = 64  # bytes of a file by which it is recognised

Writer = Callable[[Path, Mapping[str, np.ndarray], Mapping[str, str]], None]


class Content(NamedTuple):
    """What a format is recognised by: a folder, the first bytes of a file, and the members of a zip archive."""

    folder: bool = False
    head: bytes = b""
    members: tuple[str, ...] = ()


class Format(NamedTuple):
    """One row of the table.

    Attributes:
        words: the format in a list of what is read.
        endings: usual endings of its files; `save` chooses the format by them, `read` by the content.
        is_of: whether a content is of the format.
        read: path -> what was saved, its arrays as numpy's.
        write: the function that writes a path; None for a format that is read alone.
        metadata: path -> what was saved beside the arrays; None for a format that has no place for it.
    """

    words: str
    endings: tuple[str, ...]
    is_of: Callable[[Content], bool]
    read: Callable[[Path], object]
    write: Writer | None = None
    metadata: Callable[[Path], dict] | None = None


def _is_npz(content: Content) -> bool:
    return bool(content.members) and all(name.endswith(".npy") for name in content.members)


_ZIP = b"PK"
_TORCH, _PICKLED = "torch's .pth, .pt, .th and .bin", (".pth", ".pt", ".th", ".bin")

FORMATS = (
    Format(
        words=_TORCH,
        endings=_PICKLED,
        is_of=lambda content: content.head.startswith(_ZIP) and not _is_npz(content),
        read=read_zip,
    ),
    Format(
        words=_TORCH,  # as before torch 1.6
        endings=_PICKLED,
        is_of=lambda content: MAGIC in content.head,
        read=read_legacy,
    ),
    Format(
        words=".safetensors",
        endings=(".safetensors",),
        is_of=lambda content: content.head[8:9] == b"{",
        read=read_safetensors,
        write=write_safetensors,
        metadata=safetensors_metadata,
    ),
    Format(
        words=".npz",
        endings=(".npz",),
        is_of=_is_npz,
        read=read_npz,
        write=write_npz,
    ),
    Format(
        words="orbax folders",
        endings=("", ".orbax"),
        is_of=lambda content: content.folder,
        read=read_orbax,
        write=write_orbax,
        metadata=orbax_metadata,
    ),
)
WRITERS = {ending: each.write for each in FORMATS if each.write for ending in each.endings}


def format_of(path: Path) -> Format:
    """The format of a file or folder, by its content, not its name.

    Raises ValueError for anything that is not a checkpoint.
    """
    content = _content(path)
    if {META, PROGRAM} <= set(content.members):
        raise ValueError(
            "not a checkpoint, but an explainer that jaxcam.export wrote: jaxcam.restore opens it; here goes the "
            "checkpoint that it was made from"
        )
    found = next((each for each in FORMATS if each.is_of(content)), None)
    if found is None:
        words = dict.fromkeys(each.words for each in FORMATS)
        raise ValueError(
            f"not a checkpoint: {_described(content.head)}. Read are {listed(words, last='and')}"
        )
    return found


def writer(path: Path) -> Writer:
    """The function that writes the format of the ending of `path`. Raises ValueError for an ending of none."""
    if path.suffix not in WRITERS:
        endings = [each for each in WRITERS if each]
        raise ValueError(
            f"no format for {path.suffix!r}: save to {', '.join(endings)} or a folder without ending"
        )
    return WRITERS[path.suffix]


def _content(path: Path) -> Content:
    if path.is_dir():
        return Content(folder=True)
    head = b""
    if path.stat().st_size:  # what says 0 and still has bytes is made up by the system, perhaps without end
        with path.open("rb") as file:
            head = file.read(_HEAD)
    if not head.startswith(_ZIP):
        return Content(head=head)
    with archive(path) as file:
        return Content(head=head, members=tuple(file.names))


def _described(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "the file is a web page, perhaps the download's error page"
    if head.startswith(b"version https://git-lfs"):
        return "the file is a Git LFS pointer to the real one (git lfs pull fetches it)"
    if head.startswith(b"\x80"):
        return "the file is a pickle that torch.save did not write; pickles can run code and are not opened"
    return f"the file starts with {head[:16]!r}"
