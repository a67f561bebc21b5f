"""Compiled programs kept between commands, by JAX's persistent cache."""

import hashlib
import os
import platform
import sys
from pathlib import Path

from ..files._cache import cache_folder

LARGEST = 2**30  # of the folder, in bytes: the programs that were not used for longest go first
SHORTEST = "0.2"  # compilations that take as many seconds are kept


def keep_programs() -> None:
    """Sets the environment variables by which JAX keeps what it compiles; those that are set already stay.

    A process in which JAX runs already, such as a test, is left alone.
    """
    if "jax" in sys.modules:
        return
    folder = cache_folder() / "programs" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # nothing can be kept there, which no command needs
        return
    for name, value in (
        ("JAX_COMPILATION_CACHE_DIR", str(folder)),
        ("JAX_COMPILATION_CACHE_MAX_SIZE", str(LARGEST)),
        ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", SHORTEST),
    ):
        os.environ.setdefault(name, value)


def _machine() -> str:
    """A name of the processor: a program compiled for one may not run on another that shares the folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    known = sorted(
        {line for line in lines if line.startswith(("model name", "flags", "Features"))} or {*lines[:1]}
    )
    return f"{platform.machine()}-{hashlib.sha256(chr(10).join(known).encode()).hexdigest()[:12]}"
