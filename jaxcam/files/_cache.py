"""Where files are kept that can be had again: checkpoints, compiled programs."""

import os
from pathlib import Path


def cache_folder(variable: str = "JAXCAM_CACHE", name: str = "jaxcam") -> Path:
    """`$JAXCAM_CACHE`, else `$XDG_CACHE_HOME/jaxcam`, else `~/.cache/jaxcam`; of another program by its names."""
    if given := os.environ.get(variable):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / name
