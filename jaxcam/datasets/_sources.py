"""Which source reads what is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._labels import Labels
from .._pictures import missing
from ._folder import Folder
from ._record import Source


def open(what: Any, *, recursive: bool = True, classes: Labels | Sequence[str] | None = None) -> Source:
    path = Path(what)
    if not path.exists():
        raise ValueError(missing(path))
    return Folder(path, recursive=recursive, classes=classes)
