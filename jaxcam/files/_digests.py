"""Provenance of a result: versions of the libraries, path and digest of a checkpoint."""

import hashlib
import importlib.metadata
from pathlib import Path

from .._version import __version__


def describe_weights(path: Path) -> dict[str, str]:
    """Path and sha256 of a checkpoint; of a folder, that of its files' names and digests."""
    if path.is_file():
        return {"weights": str(path), "sha256": _digest(path)}
    inside = sorted(each for each in path.rglob("*") if each.is_file())
    lines = "".join(f"{_digest(each)}  {each.relative_to(path).as_posix()}\n" for each in inside)
    return {"weights": str(path), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def versions() -> dict[str, str]:
    return {"jaxcam": __version__, **{name: importlib.metadata.version(name) for name in ("jax", "flax")}}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
