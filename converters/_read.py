"""A checkpoint file of any known format -> names and arrays."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import numpy as np

from ._damage import Damaged, largest, short
from ._formats import format_of
from ._mistakes import check_path
from ._names import state_dict


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
        found = state_dict(format_of(path).read(path))
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
