"""Stores of maps as `jaxcam run` writes them, made with zarr from arrays: for tests of what reads them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from PIL import Image


def write_store(
    where: Path,
    maps: np.ndarray,
    paths: Sequence[str],
    *,
    logits: np.ndarray,
    target: np.ndarray | None = None,
    label: np.ndarray | None = None,
    status: np.ndarray | None = None,
    errors: Sequence[str] | None = None,
    digests: Sequence[bytes] | None = None,
    extra: dict[str, np.ndarray] | None = None,
    batch: int = 16,
    about: dict[str, Any],
) -> Path:
    """A store of N records with the `maps` (N, h, w) or (N, T, h, w) of the classes `target`, by default top-1."""
    count = len(paths)
    order = np.argsort(-logits, axis=1, kind="stable").astype(np.int32)
    target = order[:, 0] if target is None else target
    several = maps.ndim == 4
    index = target if several else target[:, None]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    score = np.take_along_axis(logits, index, 1)
    probability = np.take_along_axis(odds / odds.sum(axis=1, keepdims=True), index, 1)
    top = order[:, :5]
    arrays: dict[str, np.ndarray] = {
        "maps": maps,
        "target": target.astype(np.int32),
        "score": (score if several else score[:, 0]).astype(np.float32),
        "probability": (probability if several else probability[:, 0]).astype(np.float32),
        "predicted": order[:, 0],
        "top_class": top,
        "top_logit": np.take_along_axis(logits, top, 1).astype(np.float32),
        "status": np.ones(count, np.uint8) if status is None else status,
        "digest": np.zeros((count, 32), np.uint8),
        **(extra or {}),
    }
    if label is not None:
        arrays["label"] = label.astype(np.int32)
    if digests is not None:
        arrays["digest"] = np.stack([np.frombuffer(each, np.uint8) for each in digests])
    group = zarr.open_group(where, mode="w", zarr_format=3, attributes={"jaxcam": about})
    for name, values in arrays.items():
        made = group.create_array(
            name, shape=values.shape, chunks=(batch, *values.shape[1:]), dtype=values.dtype
        )
        made[:] = values
    for name, texts in {"path": paths, "error": errors or [""] * count}.items():
        made = group.create_array(name, shape=(count,), chunks=(batch,), dtype=str, compressors=None)
        made[:] = np.array(list(texts), dtype=object)
    return where


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


CLASSES = ["tench", 'a "quoted" <b>class</b>', "</script><script>alert(1)</script>", "goldfish & co"]
ODD = ["z/</script><img src=x onerror=alert(1)>.png", "z/\"five' & `six`.png", "z/ \u2028 日本.png"]


def make_pictures(root: Path, count: int) -> list[str]:
    """PNG files of smooth colours in two folders, three with names that mean something to a page; their paths."""
    names = [f"{'ab'[i % 2]}/{i:04d}.png" for i in range(count - len(ODD))] + ODD
    for seed, name in enumerate(names):
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((60, 40), Image.Resampling.BICUBIC).save(root / name)
    return names


def label_of(name: str) -> int:
    return sum(name.encode()) % 4


def make_store(
    where: Path, root: Path, names: Sequence[str], *, method: str, seed: int, **given: Any
) -> Path:
    """A store for the pictures `names` below `root`: blobs as maps, four classes, labels, the values `drop`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:32] / 31
    middles = rng.uniform(0, 1, (len(names), 2, 1, 1))
    blobs = np.exp(-8 * ((y - middles[:, 0]) ** 2 + (x - middles[:, 1]) ** 2))
    blobs = (blobs - blobs.min((1, 2), keepdims=True)) / np.ptp(blobs, axis=(1, 2), keepdims=True)
    logits = np.random.default_rng(0).normal(0, 2, (len(names), 4))  # one model: the same in every store
    about = {
        "model": "cifar_resnet20",
        "method": method,
        "layer": "layer3",
        "stored": "image",
        "fit": "squeeze",
        "classes": CLASSES,
        "options": {"note": "</script>"},
        "source": {"kind": "folder", "location": str(root), "records": len(names)},
        "started": "2026-01-02T03:04:05+00:00",
    }
    settings: dict[str, Any] = {
        "logits": logits,
        "label": np.array([label_of(name) for name in names]),
        "digests": [digest(root / name) for name in names],
        "extra": {"drop": rng.uniform(0, 100, len(names)).astype(np.float32)},
    }
    about |= given.pop("about", {})
    return write_store(where, blobs.astype(np.float16), names, about=about, **settings | given)
