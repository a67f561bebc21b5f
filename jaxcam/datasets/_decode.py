"""Encoded pictures, as bytes or in files."""

import hashlib
import io
from typing import NamedTuple

from PIL import Image

from .._pictures import why_absent, why_unreadable
from ..models._preprocess import upright_rgb
from ._files import is_systems
from ._record import Unreadable


class Decoded(NamedTuple):
    """A picture, upright RGB, and the sha256 of the bytes that it was decoded from."""

    picture: Image.Image
    digest: bytes


def decode(encoded: bytes) -> Decoded:
    """Raises Unreadable for bytes that are no picture, or a damaged one."""
    digest = hashlib.sha256(encoded).digest()
    if not encoded:
        raise Unreadable("is empty", digest)
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            return Decoded(upright_rgb(picture), digest)
    except MemoryError:
        raise
    except Exception as error:  # PIL's plugins raise whatever damaged bytes lead them to
        raise Unreadable(why_unreadable(error), digest) from error


def decode_file(path: str) -> Decoded:
    """Raises Unreadable for a file that is not there or cannot be read, too."""
    if absent := why_absent(path) or ("is a file of the operating system" if is_systems(path) else ""):
        raise Unreadable(absent)
    try:
        with open(path, "rb") as file:
            encoded = file.read()
    except (FileNotFoundError, PermissionError) as error:
        raise Unreadable(why_unreadable(error)) from error
    return decode(encoded)
