"""Small pictures on disk, and what reading a record says."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from jaxcam.datasets import Unreadable

SIZE = (48, 40)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Smooth colours, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(seed: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, kind)
    return file.getvalue()


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed))
    return path


def pixels(record) -> np.ndarray:
    return np.asarray(record.picture)


def reason(source, i: int) -> str:
    """Why a record cannot be read; "" where it can."""
    try:
        source[i]
    except Unreadable as error:
        return str(error)
    return ""


def names(source) -> list[str]:
    return [source.name(i) for i in range(len(source))]
