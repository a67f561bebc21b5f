"""Picture files: finding them, naming what is written for each, and reading them ahead of the device."""

import difflib
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from ..models._preprocess import Preprocess
from ._decode import Unreadable, decode_file
from ._walk import pictures_below


class Found(NamedTuple):
    """A picture file, and where its outputs go: a path below the output folder without an ending."""

    path: Path
    stem: str


class Picture(NamedTuple):
    """A picture as it is shown, and as the model takes it."""

    found: Found
    view: UInt8[np.ndarray, "H W 3"]
    image: Float[np.ndarray, "H W 3"]


class Failure(NamedTuple):
    """A picture that cannot be read, and why, in a few words."""

    found: Found
    reason: str


def find(arguments: Iterable[Path], *, out: Path) -> list[Found]:
    """The pictures that the arguments name: files as they are, folders with all that is below them.

    A folder is walked as `pictures_below` says, without the output folder. A picture that is named twice is taken
    once. A file that does not exist is kept: reading it fails, and says so.

    Raises:
        ValueError: a folder without pictures, a picture inside the output folder, or nothing that exists.
        OSError: a folder that cannot be listed.
    """
    found: dict[str, Found] = {}
    for argument in arguments:
        root = argument if argument.is_dir() else argument.parent
        below = pictures_below(root, without=out)[0] if argument.is_dir() else [argument.name]
        for name in below:
            path = root / name if argument.is_dir() else argument
            found.setdefault(os.path.abspath(path), Found(path, Path(name).with_suffix("").as_posix()))
    paths = [each.path for each in found.values()]
    if not any(path.exists() for path in paths):
        raise ValueError(missing(paths[0]))
    for path in paths:
        if path.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"the output folder {str(out)!r} holds a picture to explain: {path.name!r}")
    stems = _distinct(each.stem for each in found.values())
    return [Found(path, stem) for path, stem in zip(paths, stems, strict=True)]


def _distinct(stems: Iterable[str]) -> Iterator[str]:
    """Adds numbers to names that would overwrite each other, also where case is ignored: a, a-2, a-3."""
    taken: set[str] = set()
    for stem in stems:
        name, number = stem, 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.casefold())
        yield name


def missing(path: Path) -> str:
    """`no file or folder 'cot.png'; did you mean 'cat.png'?`"""
    beside = os.listdir(path.parent) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"no file or folder {str(path)!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def read(found: Found, preprocess: Preprocess, *, crop: bool) -> Picture | Failure:
    """Reads one picture; of an animation, the first frame."""
    try:
        view = preprocess.view(decode_file(found.path).picture, crop=crop)
    except (Unreadable, ValueError) as error:  # a ValueError: too long for its width
        return Failure(found, str(error))
    # the view has the model's size already, so squeezing changes nothing
    return Picture(found, view, preprocess(view, crop=False))


def read_ahead(
    pictures: Iterable[Found],
    reader: Callable[[Found], Picture | Failure],
    *,
    ahead: int,
    threads: int = 4,
) -> Generator[Picture | Failure, None, None]:
    """`map(reader, pictures)`, in order, with up to `ahead` of them read before they are asked for."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    waiting: deque = deque()
    try:
        for each in pictures:
            waiting.append(pool.submit(reader, each))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def readable(
    reading: Iterable[Picture | Failure], report: Callable[[Failure], object]
) -> Generator[Picture, None, None]:
    """The pictures; what could not be read goes to `report`."""
    for each in reading:
        if isinstance(each, Failure):
            report(each)
        else:
            yield each


def in_groups(items: Iterator, size: int) -> Generator[list, None, None]:
    """Lists of `size` items, the last of what is left."""
    while group := list(itertools.islice(items, size)):
        yield group
