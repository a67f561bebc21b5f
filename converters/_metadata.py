"""What is kept beside the arrays of a checkpoint: the architecture, its source, the version that wrote it."""

import hashlib
import os
from pathlib import Path
from typing import Any

from jaxcam.models._published import files_of
from jaxcam.models._timm._config import Config

from ._formats import format_of
from ._mistakes import check_path
from ._read import told
from ._timm import beside, kept, written


def metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What was saved beside the arrays of a checkpoint; of torch's files and .npz, which have no place for it, {}.

    `save` and `jaxcam convert` write `architecture` and `jaxcam` (its version) and, where the weights came from a
    file, `source` (its name) and its `sha256`; and where that is a published one, or came from it, its `entry`; of a
    checkpoint of timm's, what its `config.json` says, as `timm`.

    Args:
        path: anything that `read` reads. No array is read.

    Raises:
        FileNotFoundError, ValueError: as `read`.
    """
    check_path("metadata", path)
    path = Path(path)
    with told(path):
        kept = format_of(path).metadata
        return {} if kept is None else kept(path)


def describe(name: str, source: Path | None) -> dict[str, str]:
    """The metadata of a model `name` whose weights came from `source`."""
    import jaxcam

    described = {"architecture": name, "jaxcam": jaxcam.__version__}
    if source is not None:
        described["source"] = source.name
        if (entry := entry_of(name, source)) is not None:
            described["entry"] = entry
        if (config := config_of(source)) is not None:
            described["timm"] = written(config)
        if source.is_file():
            with source.open("rb") as file:
                described["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return described


def entry_of(name: str, path: Path) -> str | None:
    """The published entry that a checkpoint of the architecture `name` is, or was converted from, if it is known.

    A published file is known by its name, a converted one by its metadata. None too of what `read` cannot read.
    """
    entries = files_of(name)
    if (entry := next((each for each, file in entries.items() if file == path.name), None)) is not None:
        return entry
    try:
        kept = metadata(path).get("entry")
    except (ValueError, OSError):
        return None
    return kept if kept in entries else None


def config_of(path: Path) -> Config | None:
    """What timm says of a checkpoint: the `config.json` beside it, or what was kept of it when it was converted."""
    try:
        return beside(path) or kept(metadata(path).get("timm"))
    except (ValueError, OSError):
        return None
