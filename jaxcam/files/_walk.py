"""Which files of a folder are pictures, and in which order: the same for every command."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ._decode import is_systems

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm"),
)
# Endings of pictures that are not read: a camera's, a phone's, drawings.
OTHERS = (
    *(".heic", ".heif", ".avif", ".jxl", ".jxr", ".hdr", ".exr", ".dng", ".raw", ".cr2", ".cr3", ".nef"),
    *(".arw", ".orf", ".rw2", ".raf", ".psd", ".svg", ".eps", ".pdf", ".ico", ".tga", ".pcx", ".dcm", ".nii"),
)


def pictures_below(
    root: Path, *, recursive: bool = True, without: Path | None = None
) -> tuple[list[str], str]:
    """The pictures below a folder, in natural order (2.jpg before 10.jpg), whatever order the disk lists them in.

    Hidden files and files without a picture's ending are left out. Links are followed, and every real folder is walked
    once, so that links across or round in circles repeat nothing.

    Args:
        root: the folder.
        recursive: take pictures in folders below it, too.
        without: a folder below it to leave out.

    Returns:
        Their paths from `root`; and how many pictures of kinds that are not read there are, in words, "" for none.

    Raises:
        ValueError: no picture.
        OSError: a folder that cannot be listed.
    """
    paths: list[str] = []
    others: Counter[str] = Counter()
    for folder, files in _walk(root, recursive=recursive, without=without):
        paths += [folder + each for each in files if named_as_picture(each)]
        others.update(os.path.splitext(each)[1].lower() for each in files if not each.startswith("."))
    others = Counter({ending: others[ending] for ending in OTHERS if others[ending]})
    kinds = ", ".join(f"{count} {ending}" for ending, count in others.most_common())
    left_out = f"pictures of kinds that are not read are left out: {kinds}" if kinds else ""
    if not paths:
        where = "below" if recursive else "in"
        raise ValueError(
            f"no picture {where} the folder {str(root)!r}: looked for {', '.join(SUFFIXES)}"
            + (f"; {left_out}" if kinds else "")
        )
    return paths, left_out


def named_as_picture(name: str) -> bool:
    """Whether a file's name is a picture's: not hidden, and with one of the endings."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def natural(path: str) -> tuple[list[str | int], str]:
    """Sorts numbers by value; paths that differ in leading zeros alone by their text."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path))
    parts[1::2] = map(int, parts[1::2])
    return parts, path


def _walk(root: Path, *, recursive: bool, without: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Every real folder once: its path from `root`, and its files. A link is followed to a folder that is not itself
    below `root` and was not walked before."""

    def refuse(error: OSError):
        raise error

    walked = {_identity(os.fspath(each)) for each in (root, without) if each is not None and each.is_dir()}
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
