"""A checkpoint file of any known format -> names and arrays. The content decides, not the file's name."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ._archive import archive
from ._damage import Damaged, largest, short
from ._legacy import MAGIC, read_legacy
from ._mistakes import check_path
from ._names import state_dict
from ._npz import read_npz
from ._orbax import read_orbax
from ._safetensors import read_safetensors
from ._zip import read_zip

_KNOWN = "torch's .pth, .pt, .th and .bin, .safetensors, .npz and orbax folders"


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, by name.

    torch files are read without torch, those from before torch 1.6 too, and nothing in them runs. A
    training script's dict is opened and the prefixes `module.`, `model.` and `_orig_mod.` are taken off.

    Args:
        path: a file that `torch.save` wrote (.pth, .pt, .th, .bin), .safetensors, .npz or an orbax folder.

    Returns:
        Names and arrays as the file has them: torch's layout in torch's files. The arrays may be read-only.

    Raises:
        FileNotFoundError: nothing is there.
        OSError: it cannot be opened or read.
        ValueError: no checkpoint, a damaged one, one that holds more than arrays, or one whose arrays would take far
            more bytes than the file has; a named pipe or a device. It names the file.
        MemoryError: its arrays do not fit into the memory that is left.
    """
    check_path("read", path)
    path = Path(path)
    with told(path):
        found = state_dict(reader(path)(path))
        total = sum(value.nbytes for value in found.values())
        if total > largest(size := _size(path)):
            raise ValueError(f"refused: its arrays would take {total} bytes, and it has {size}")
        return found


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Converts errors of the code inside into those documented by `read`, which name the file."""
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if (text := spelled(path)).startswith("hf:"):
            raise FileNotFoundError(f"{text} is on the Hub: converters.fetch or load downloads it") from None
        raise FileNotFoundError(f"no checkpoint at {path.absolute()}") from None
    # before it is opened: to open a named pipe waits for a writer
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise ValueError(f"{path} is a named pipe, a device or a socket: only files and folders are read")
    try:
        yield
    except Damaged as error:
        raise ValueError(f"{path} is damaged or cut short: {short(error)}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {short(error)}") from error


def spelled(path: str | os.PathLike[str]) -> str:
    """A path as text; of an address, hf://..., with both slashes, of which a Path keeps one."""
    text = PurePath(path).as_posix() if isinstance(path, PurePath) else os.fspath(path)
    return re.sub(r"^hf:/+", "hf://", text)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def reader(path: Path) -> Callable[[Path], Any]:
    """The function that reads the format of `path`."""
    if path.is_dir():
        return read_orbax
    head = b""
    if path.stat().st_size:  # what says 0 and still has bytes is made up by the system, perhaps without end
        with path.open("rb") as file:
            head = file.read(64)
    if head.startswith(b"PK"):
        with archive(path) as file:
            names = file.names
        if {"meta.json", "program.bin"} <= set(names):
            raise ValueError(
                "not a checkpoint, but an explainer that jaxcam.export wrote: jaxcam.restore opens it; here goes the "
                "checkpoint that it was made from"
            )
        return read_npz if names and all(name.endswith(".npy") for name in names) else read_zip
    if MAGIC in head:
        return read_legacy
    if head[8:9] == b"{":
        return read_safetensors
    raise ValueError(f"not a checkpoint: {_described(head)}. Read are {_KNOWN}")


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
