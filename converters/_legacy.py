"""Reads what `torch.save` wrote before torch 1.6, pickles and bytes end to end, by means of torch."""

import re
from pathlib import Path
from typing import Any

from ._pickle import refusal

# the number 0x1950a86a20f9469cfc6c that opens such a file, as pickle spells it
MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"


def read_legacy(path: Path) -> Any:
    """The object that was saved, as torch reads it with `weights_only=True`.

    Raises:
        ImportError: torch is not installed.
        ValueError: torch refuses the file or finds it damaged.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{path} is in torch's format of before 1.6, which only torch reads. Install torch, or save it "
            "anew where torch is: torch.save(torch.load(path, weights_only=True), path)"
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError, KeyError, struct.error ...
        # torch's own words advise to let the file run what it likes
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise ValueError(refusal(asked[1])) from error
        raise ValueError(f"torch does not read it: {str(error) or type(error).__name__}") from error
