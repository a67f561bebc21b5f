"""Reads and writes .safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ._damage import NAMES, Damaged, parsing


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Raises ValueError for a damaged file."""
    from safetensors import safe_open

    with parsing("its safetensors"), safe_open(path, "np") as file:
        names = file.keys()
        if len(names) > NAMES:
            raise Damaged(f"it holds {len(names)} arrays, and at most {NAMES} are read")
        return {name: file.get_tensor(name) for name in names}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Raises ValueError for a damaged file."""
    from safetensors import safe_open

    with parsing("its safetensors"), safe_open(path, "np") as file:
        return dict(file.metadata() or {})


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    """The arrays must be contiguous; `metadata` goes into the header."""
    from safetensors.numpy import save

    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    # "pt" says that the arrays are laid out as torch has them; other readers look for it
    path.write_bytes(save(dict(arrays), metadata={"format": "pt", **text}))
