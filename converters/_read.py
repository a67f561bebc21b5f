"""A checkpoint file of any known format -> names and arrays. The content decides, not the file's name."""

import errno
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ._legacy import MAGIC, read_legacy
from ._names import state_dict
from ._npz import read_npz
from ._orbax import read_orbax
from ._safetensors import read_safetensors
from ._zip import read_zip

# what reading cut or altered bytes runs into
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
)
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
        ValueError: no checkpoint, a damaged one, or one that holds more than arrays. It names the file.
    """
    path = Path(path)
    with told(path):
        return state_dict(reader(path)(path))


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns what reading `path` runs into where it is no checkpoint, or a damaged one, into the errors of `read`."""
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path.absolute()}")
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged or cut short: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is what a damaged offset into the file gives
            raise
        raise ValueError(f"{path} is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def reader(path: Path) -> Callable[[Path], Any]:
    """The function that reads the format of `path`."""
    if path.is_dir():
        return read_orbax
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
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
