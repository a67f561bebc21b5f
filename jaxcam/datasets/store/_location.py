"""Where a store is: a folder, or a bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit


def folder_of(location: str | Path) -> Path | None:
    """The folder that a location names, or None where it is a bucket."""
    text = str(location)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return None if "://" in text else Path(text)
