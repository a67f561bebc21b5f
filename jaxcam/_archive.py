"""The file of an exported explainer: a zip of its program, its weights and what is known of it."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

FORMAT, VERSION = "jaxcam explainer", 1
_META, _PROGRAM, _WEIGHTS = "meta.json", "program.bin", "weights.safetensors"


class Archive(NamedTuple):
    """What the file holds.

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

    from ._index import whole

    names = {name: leaf.dtype.name for name, leaf in archive.weights.items()}
    heading = {"format": FORMAT, "version": VERSION, "weights": names}
    meta = json.dumps(heading | dict(archive.metadata), indent=1, allow_nan=False)
    arrays = {name: np.ascontiguousarray(leaf).reshape(leaf.shape) for name, leaf in archive.weights.items()}
    with whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as folder:
        folder.writestr(_META, meta)
        folder.writestr(_PROGRAM, archive.program)
        folder.writestr(_WEIGHTS, save(arrays))


def read_archive(path: Path) -> Archive:
    """Reads the file.

    Raises:
        ValueError: a file that `jaxcam.export` did not write, a newer one, or a damaged one.
        OSError: a file that cannot be read.
    """
    from safetensors import SafetensorError, deserialize

    try:
        with zipfile.ZipFile(path) as folder:
            if _META not in folder.namelist():
                raise ValueError(f"{path} was not written by jaxcam.export: it holds no {_META}")
            metadata = json.loads(folder.read(_META))
            _check(path, metadata)
            arrays = dict(deserialize(folder.read(_WEIGHTS)))
            weights = {
                # by the name of the type: safetensors' own reader for NumPy knows no bfloat16
                name: np.frombuffer(arrays[name]["data"], jnp.dtype(dtype)).reshape(arrays[name]["shape"])
                for name, dtype in metadata.pop("weights").items()
            }
            return Archive(folder.read(_PROGRAM), weights, metadata)
    except zipfile.BadZipFile as error:
        whole_file = zipfile.is_zipfile(path)
        reason = f"is damaged: {error}" if whole_file else "was not written by jaxcam.export, or is cut short"
        raise ValueError(f"{path} {reason}") from error
    except (KeyError, SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _check(path: Path, metadata: Any) -> None:
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by jaxcam.export: its {_META} is of another format")
    if metadata["version"] > VERSION:
        raise ValueError(
            f"{path} is of version {metadata['version']}, and this jaxcam reads up to version {VERSION}: it was "
            f"written by jaxcam {metadata.get('versions', {}).get('jaxcam', 'of a later release')}"
        )
