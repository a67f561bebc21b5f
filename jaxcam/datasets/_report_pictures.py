"""Pictures of a report: found again, and seen as the model saw them."""

import dataclasses
import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from ..models import preprocess
from ..models._preprocess import IMAGENET, Preprocess
from ._reader import Store

EDGE = 384  # sides of a picture in pixels, at most


class Seen(NamedTuple):
    """What the model saw of a picture, or nothing; and what is wrong with it, or nothing."""

    view: Image.Image | None
    note: str = ""


class Pictures:
    """The pictures of a store, by record.

    Args:
        root: folder that the paths of the store are relative to, instead of its source's.
    """

    def __init__(self, store: Store, *, root: Path | None = None):
        source = store.about.get("source") or {}
        location = Path(str(source.get("location", "")))
        self._store, self._moved = store, root is not None
        self._folder = root or (location if location.is_dir() else location.parent)
        self._in_files = self._moved or source.get("kind") in ("folder", "manifest")
        self._crop = store.about.get("fit", "crop") == "crop"
        self._preprocess = _preprocess(store.about)
        self._digests = store.array("digest") if "digest" in store.arrays else None

    def see(self, row: int) -> Seen:
        """The part of a record's picture that the model saw, its sides `EDGE` or as many pixels as it has."""
        path = self._find(self._store.paths[row])
        if path is None:
            return Seen(
                None, f"no picture in {self._folder}" if self._in_files else "the source has no files"
            )
        try:
            encoded = path.read_bytes()
            with Image.open(io.BytesIO(encoded)) as picture:
                view = self._view(ImageOps.exif_transpose(picture))
        except Exception as error:  # PIL's plugins raise whatever a damaged file leads them to
            return Seen(None, f"picture not readable: {str(error).strip() or type(error).__name__}"[:200])
        return Seen(view, "the picture has changed since the run" if self._changed(row, encoded) else "")

    def _view(self, picture: Image.Image) -> Image.Image:
        pre = self._preprocess
        native = min(picture.size) * pre.size // pre.resize if self._crop else max(picture.size)
        edge = max(1, min(EDGE, native))
        finer = dataclasses.replace(pre, size=edge, resize=max(edge, round(pre.resize * edge / pre.size)))
        return Image.fromarray(finer.view(picture, crop=self._crop))

    def _find(self, path: str) -> Path | None:
        """Below the folder; in one that the user names, also under the file's own name."""
        if not self._in_files:
            return None
        places = [self._folder / path] + ([self._folder / Path(path).name] if self._moved else [])
        try:
            return next((each for each in places if each.is_file()), None)
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _changed(self, row: int, encoded: bytes) -> bool:
        if self._digests is None:
            return False
        known = bytes(self._digests[row].read().result())
        return any(known) and known != hashlib.sha256(encoded).digest()


def _preprocess(about: dict[str, Any]) -> Preprocess:
    try:
        return preprocess(about["model"])
    except (KeyError, ValueError, TypeError):  # a model of the user's own: nearly all resize and crop so
        return IMAGENET
