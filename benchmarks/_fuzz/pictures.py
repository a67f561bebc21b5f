"""Pictures of every format that is read, a bomb and an EPS file."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from .mutations import Case, Kind, one_changed, short

PICTURES = ("JPEG", "JPEG", "PNG", "WEBP", "GIF", "TIFF", "TIFF", "JPEG2000", "BMP", "PPM")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n0 0 moveto 40 40 lineto stroke\nshowpage\n%%EOF\n"


def pictures(folder: Path) -> dict[str, dict[str, bytes]]:
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 255, (6, 8, 4), np.uint8)).resize((64, 48))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    made = {}
    for number, kind in enumerate(PICTURES):
        file, second = io.BytesIO(), number and PICTURES[number - 1] == kind
        options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
        options |= {"progressive": True} if kind == "JPEG" and second else {}
        options |= {"compression": "tiff_lzw"} if kind == "TIFF" and second else {}
        base.convert("RGBA" if kind in ("PNG", "WEBP") else "RGB").save(file, kind, **options)
        made[f"{kind}{'-2' if second else ''}"] = {"x.jpg": file.getvalue()}
    header = struct.pack(">IIBBBBB", 178956970, 1, 8, 2, 0, 0, 0)
    made["bomb"] = {
        "x.jpg": b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", b"x\x9c\3\0\0\0\0\1")
        + _chunk(b"IEND", b"")
    }
    made["EPS"] = {"x.jpg": EPS}
    return made


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def picture(rng: np.random.Generator, bases: dict) -> Case:
    base, _, files = one_changed(rng, bases)
    if base.startswith("PNG") and rng.integers(2):  # a right checksum, so that what it says is believed
        content = bytearray(files["x.jpg"])
        if len(content) > 33:
            content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        files["x.jpg"] = bytes(content)
    return Case(base, files, "x.jpg")


def judge_picture(path: Path) -> str:
    from jaxcam import datasets, models

    try:
        record = datasets.open([str(path)])[0]
    except datasets.Unreadable as error:
        return short(error)
    try:
        models.preprocess("resnet50")(record.picture)
    except ValueError as error:
        return short(error)
    return "read"


KIND = Kind(pictures, picture, judge_picture)
