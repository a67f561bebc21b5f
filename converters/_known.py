"""Recognises the architecture of a checkpoint by the fingerprints in the table of published checkpoints."""

import hashlib
from collections.abc import Mapping

from jaxcam.models._published import PUBLISHED


def fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A hash of names and shapes without the first axis, which in the head is the number of classes."""
    lines = sorted(f"{key} {shape[1:]}" for key, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def alike(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The architectures with these names and shapes, whatever their number of classes."""
    wanted = fingerprint(shapes)
    return [name for name, known in PUBLISHED.items() if known.fingerprint == wanted]
