"""Reads and writes numpy's .npz: one array a name."""

from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Raises ValueError for objects (pickles are not opened) and for types that numpy has no name for."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    for key, value in arrays.items():
        if value.dtype.kind == "V":
            raise ValueError(f"{key} is of a type that .npz cannot name, perhaps bfloat16: use .safetensors")
    return arrays


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    """bfloat16, which .npz cannot name, is widened to float32, losing nothing. Metadata has no place here."""
    wide = {key: x.astype(np.float32) if x.dtype == ml_dtypes.bfloat16 else x for key, x in arrays.items()}
    np.savez(path, **wide)  # pyright: ignore[reportArgumentType]
