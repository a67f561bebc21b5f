"""Stores of maps as `jaxcam run` writes them, made with zarr from arrays: for tests of what reads them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr


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
