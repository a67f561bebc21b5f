"""The file of an exported explainer: a zip of program, weights and metadata."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._errors import brief, cut, foreign
from ..files._members import META, PROGRAM, WEIGHTS

FORMAT, VERSION = "jaxcam explainer", 1
_LONGEST_META = 64 << 20  # bytes: names of weights and classes
_TYPES = {"method": str, "layer": str, "image": list, "dtype": str, "maps": list, "platforms": list}
_TYPES |= {"classes": int | None, "weights": dict, "about": dict}


class Archive(NamedTuple):
    """Contents of the file.

    Attributes:
        program: as `jax.export` serialises it. It takes the weights as a list in the order of their names.
        weights: the model's parameters by name, in that order.
        metadata: JSON.
    """

    program: bytes
    weights: Mapping[str, np.ndarray]
    metadata: Mapping[str, Any]


def write_archive(path: Path, archive: Archive) -> None:
    """Writes the file; a file of that name is replaced when the new one is complete, and not before."""
    from safetensors.numpy import save

    from ..files._whole import whole

    names = {name: leaf.dtype.name for name, leaf in archive.weights.items()}
    heading = {"format": FORMAT, "version": VERSION, "weights": names}
    meta = json.dumps(heading | dict(archive.metadata), indent=1, allow_nan=False)
    arrays = {name: np.ascontiguousarray(leaf).reshape(leaf.shape) for name, leaf in archive.weights.items()}
    with whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as folder:
        folder.writestr(META, meta)
        folder.writestr(PROGRAM, archive.program)
        folder.writestr(WEIGHTS, save(arrays))


def read_archive(path: Path) -> Archive:
    """Reads the file.

    Raises:
        ValueError: a file that `jaxcam.export` did not write, a newer one, or a damaged one.
        OSError: a file that cannot be read.
    """
    from safetensors import deserialize

    try:
        with zipfile.ZipFile(path) as folder:
            parts = _parts(path, folder)
    except zipfile.BadZipFile as error:
        whole_file = zipfile.is_zipfile(path)
        reason = (
            f"is damaged: {cut(str(error), 500)}"
            if whole_file
            else "was not written by jaxcam.export, or is cut short"
        )
        raise ValueError(f"{path} {reason}") from error
    with foreign(f"{path} is damaged"):
        metadata = json.loads(parts[META])
    _check(path, metadata)
    types = metadata.pop("weights")
    with foreign(f"{path} is damaged"):
        arrays = dict(deserialize(parts[WEIGHTS]))
    if lost := [name for name in types if name not in arrays]:
        raise ValueError(f"{path} is damaged: {brief(lost[0])} is not among its weights")
    with foreign(f"{path} is damaged"):
        weights = {
            # by the name of the type: safetensors' own reader for NumPy knows no bfloat16
            name: np.frombuffer(arrays[name]["data"], jnp.dtype(dtype)).reshape(arrays[name]["shape"])
            for name, dtype in types.items()
        }
    return Archive(parts[PROGRAM], weights, metadata)


def _parts(path: Path, folder: zipfile.ZipFile) -> dict[str, bytes]:
    """The parts, which are stored without compression, so that the file bounds their size."""
    if META not in folder.namelist():
        raise ValueError(f"{path} was not written by jaxcam.export: it holds no {META}")
    with foreign(f"{path} is damaged"):
        parts = {name: folder.getinfo(name) for name in (META, PROGRAM, WEIGHTS)}
    sizes = [each.file_size for each in parts.values()]
    if any(each.compress_type != zipfile.ZIP_STORED for each in parts.values()):
        raise ValueError(f"{path} was not written by jaxcam.export: its parts are compressed")
    if sum(sizes) > os.path.getsize(path) or sizes[0] > _LONGEST_META:
        raise ValueError(f"{path} is damaged: its parts say more bytes than it has")
    with foreign(f"{path} is damaged"):
        return {name: folder.read(each) for name, each in parts.items()}


def _check(path: Path, metadata: object) -> None:
    """Raises ValueError for metadata that this version of `jaxcam.export` does not write."""
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by jaxcam.export: its {META} is of another format")
    if not isinstance(metadata.get("version"), int):
        raise ValueError(f"{path} is damaged: its version is {brief(metadata.get('version'))}")
    if metadata["version"] > VERSION:
        raise ValueError(
            f"{path} is of version {metadata['version']}, and this jaxcam reads up to version {VERSION}: it was "
            f"written by jaxcam {_writer(metadata)}"
        )
    for key, kind in _TYPES.items():
        if not isinstance(metadata.get(key, ...), kind):
            raise ValueError(f"{path} is damaged: its {key} is {brief(metadata.get(key))}")
    for key in ("image", "maps", "platforms"):
        wanted = str if key == "platforms" else int
        if not all(isinstance(each, wanted) for each in metadata[key]):
            raise ValueError(f"{path} is damaged: its {key} is {brief(metadata[key])}")


def _writer(metadata: Mapping[str, Any]) -> str:
    versions = metadata.get("versions")
    return str(versions.get("jaxcam")) if isinstance(versions, dict) else "of a later release"
