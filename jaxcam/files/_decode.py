"""Opens encoded pictures from any source, within bounds of memory and time; nothing else opens them."""

import functools
import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from ..models._preprocess import orientation, upright_rgb

# What is read, by PIL's names, and the bytes a pixel that decoding to upright RGB takes at most. PIL knows some
# forty formats more: EPS among them, for which it starts Ghostscript.
FORMATS = {"JPEG": 12, "PNG": 16, "WEBP": 20, "BMP": 12, "GIF": 12, "TIFF": 16, "PPM": 12, "JPEG2000": 32}
MEMORY = 10**9  # bytes that decoding one picture may take; a file is not larger either
_SYSTEM = ("/proc", "/sys")  # what looks like files there may block, or never end
MOST_SCANS = 100  # of a progressive JPEG: each passes over all pixels, and ten are usual


class Unreadable(Exception):
    """A picture, or a record of a data set, that cannot be read. Its text is the reason; `digest` is the sha256 of its
    bytes, where those could be read."""

    def __init__(self, reason: str, digest: bytes = b""):
        super().__init__(reason)
        self.digest = digest


class Decoded(NamedTuple):
    """A picture, upright RGB, and the sha256 of the bytes that it was decoded from."""

    picture: Image.Image
    digest: bytes


def decode(encoded: bytes) -> Decoded:
    """Decodes a picture of one of `FORMATS`; of an animation, the first frame.

    Metadata that cannot be read is as none: such a picture is not turned.

    Raises Unreadable for bytes that are not a picture, a damaged one, or one that claims more pixels or scans than
    are read: that is seen in the header, before anything is decoded.
    """
    digest = hashlib.sha256(encoded).digest()
    if not encoded:
        raise Unreadable("is empty", digest)
    try:
        with _opened(encoded) as picture:
            return Decoded(upright_rgb(picture), digest)
    except MemoryError as error:
        raise Unreadable("decoding it takes more memory than there is", digest) from error
    except Exception as error:  # PIL's plugins raise whatever damaged bytes lead them to
        raise Unreadable(why_unreadable(error), digest) from error


def decode_file(path: str | Path) -> Decoded:
    """Raises Unreadable as `decode`, and for a file that is not there or may not be read."""
    return decode(_read(path))


def size_of_picture(path: str | Path) -> tuple[int, int]:
    """Width and height of a picture that is turned upright, from its header. Raises Unreadable."""
    try:
        with _opened(_read(path)) as picture:
            width, height = picture.size
            return (height, width) if orientation(picture) >= 5 else (width, height)
    except Unreadable:
        raise
    except Exception as error:  # as in `decode`
        raise Unreadable(why_unreadable(error)) from error


def why_absent(path: str | Path) -> str:
    """The reason why there is no file to open; empty if there is one."""
    if is_systems(path):
        return "is a file of the operating system"
    if os.path.isfile(path):
        return ""
    if os.path.isdir(path):
        return "is a folder"
    return "is a pipe or a device" if os.path.exists(path) else "no such file"


def is_systems(path: str | Path) -> bool:
    """Whether a file or folder, behind any links, lies in /proc or /sys."""
    try:
        return os.stat(path).st_dev in _systems()
    except OSError:
        return False


@functools.cache
def _systems() -> frozenset[int]:
    return frozenset(os.stat(each).st_dev for each in _SYSTEM if os.path.ismount(each))


def why_unreadable(error: Exception) -> str:
    """A short text for an error of opening or decoding a picture."""
    if isinstance(error, UnidentifiedImageError):
        return f"not a picture, or not of a kind that is read: {', '.join(FORMATS)}"
    words = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return words.splitlines()[0]


def _read(path: str | Path) -> bytes:
    if absent := why_absent(path):
        raise Unreadable(absent)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MEMORY:
                raise Unreadable(f"has {size / 1e6:.0f} MB: pictures of up to {MEMORY / 1e6:.0f} MB are read")
            return file.read(size)
    except (FileNotFoundError, PermissionError) as error:
        raise Unreadable(why_unreadable(error)) from error


def _opened(encoded: bytes) -> Image.Image:
    """Opens a picture whose header promises what can be decoded. PIL decodes it later."""
    picture = Image.open(io.BytesIO(encoded), formats=tuple(FORMATS))
    kind = "JPEG" if picture.format == "MPO" else str(picture.format)  # of several views, the first is a JPEG
    most = MEMORY // FORMATS[kind]
    sizes = [picture.size]
    if kind == "TIFF":  # a tile may be larger than the picture, and is decoded whole
        tags = picture.tag_v2  # type: ignore[attr-defined]
        sizes.append((int(tags.get(322, 0)), int(tags.get(323, 0))))
    for width, height in sizes:
        if width * height > most:
            raise ValueError(
                f"claims {width}x{height} = {width * height} pixels: of {kind}, up to {most} pixels are read"
            )
    if kind == "JPEG" and (scans := encoded.count(b"\xff\xda")) > MOST_SCANS:
        raise ValueError(f"has {scans} scans: a JPEG of up to {MOST_SCANS} is read")
    return picture
