"""Reads and writes .safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Raises ValueError for a damaged file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Raises ValueError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    """The arrays must be contiguous; `metadata` goes into the header."""
    from safetensors.numpy import save

    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    # "pt" says that the arrays are laid out as torch has them; other readers look for it
    path.write_bytes(save(dict(arrays), metadata={"format": "pt", **text}))
