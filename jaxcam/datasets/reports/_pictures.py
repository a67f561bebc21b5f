"""Pictures of a report: found in the source again, and cropped as the model saw them."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..._errors import foreign
from ...files._decode import decode_file
from ...models import preprocess
from ...models._preprocess import IMAGENET, Preprocess
from ..sources._open import open as open_source
from ..sources._record import Unreadable
from ..store._store import Store
from ._flat import drawn

EDGE = 384  # sides of a picture in pixels, at most
_LARGEST = 10_000  # sides in pixels that a store may say of a model's input


class Seen(NamedTuple):
    """The part of a picture that the model saw, if it was found, and the problem with it, if there is one."""

    view: Image.Image | None
    note: str = ""


class Pictures:
    """The pictures of a store, by record.

    Args:
        root: folder that the paths of the store are relative to, instead of its source's.
    """

    def __init__(self, store: Store, *, root: Path | None = None):
        as_is = _is_array(store.attributes)  # records that the model took as they are
        self._paths, self._preprocess = store.paths, None if as_is else _preprocess(store.attributes)
        self._crop = store.attributes.get("fit", "crop") == "crop"
        self._digests = store.read("digest") if "digest" in store.arrays else None
        self._find = _finder(store, root)

    def see(self, row: int) -> Seen:
        """The part of a record's picture that the model saw, its sides `EDGE` or as many pixels as it has."""
        try:
            picture, digest = self._find(row)
            view = self._view(picture)
        except Unreadable as error:
            return Seen(None, str(error))
        except (TypeError, ValueError) as error:  # a picture that the model cannot take either
            return Seen(None, f"picture not readable: {error}")
        return Seen(view, "the picture has changed since the run" if self._changed(row, digest) else "")

    def _view(self, picture: Image.Image | np.ndarray) -> Image.Image:
        pre = self._preprocess
        if pre is None:
            return drawn(np.asarray(picture))
        if not isinstance(picture, Image.Image):  # preprocessed already: (H, W, 3), as the model took it
            pixels = 255 * (np.asarray(picture) * pre.std + pre.mean)
            view = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
            view.thumbnail((EDGE, EDGE))
            return view
        native = min(picture.size) * pre.size // pre.resize if self._crop else max(picture.size)
        edge = max(1, min(EDGE, native))
        finer = dataclasses.replace(pre, size=edge, resize=max(edge, round(pre.resize * edge / pre.size)))
        return Image.fromarray(finer.view(picture, crop=self._crop))

    def _changed(self, row: int, digest: bytes) -> bool:
        known = b"" if self._digests is None else self._digests[row].tobytes()
        return any(known) and known != digest


def _finder(store: Store, root: Path | None) -> Callable[[int], tuple[Any, bytes]]:
    """row -> picture and digest; raises Unreadable."""
    source = store.attributes.get("source") or {}
    kind, location = source.get("kind"), Path(str(source.get("location", "")))
    if root is not None:  # in one that the user names, also flat, under the files' own names
        return lambda row: _read([store.paths[row], Path(store.paths[row]).name], root)
    if kind in ("folder", "manifest"):
        folder = location if kind == "folder" else location.parent
        return lambda row: _read([store.paths[row]], folder)
    try:
        if kind not in ("array", "arrayrecord"):
            raise ValueError("it was a Python object")
        records = open_source(location, preprocessed=_is_array(store.attributes))
    except (ValueError, OSError, ImportError) as error:
        return _unable(f"no picture: the source cannot be read again: {error}")

    def record(row: int) -> tuple[Any, bytes]:
        if row >= len(records) or records.name(row) != store.paths[row]:
            raise Unreadable(f"no picture: {location} has other records now")
        found = records[row]
        return found.picture, found.digest

    return record


def _unable(reason: str) -> Callable[[int], tuple[Any, bytes]]:
    def refuse(row: int):
        raise Unreadable(reason)

    return refuse


def _read(names: list[str], folder: Path) -> tuple[Image.Image, bytes]:
    """The first of the pictures `names` that lies in the folder, once links are followed: a store may be a stranger's,
    and the report is sent around."""
    places = [folder / name for name in names]
    there = [each for each in places if _is_file(each)]
    found = next((each for each in there if each.resolve().is_relative_to(folder.resolve())), None)
    if found is None and there:
        raise Unreadable(
            f"no picture: {there[0]} lies outside of {folder}; pass pictures= to allow its folder"
        )
    if found is None:
        raise Unreadable(f"no picture in {folder}")
    try:
        return decode_file(str(found))
    except Unreadable as error:
        raise Unreadable(f"picture not readable: {error}") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_array(about: dict[str, Any]) -> bool:
    """Whether the records are arrays of any rank, of which a run says the shape."""
    return isinstance(about.get("shape"), list)


def _preprocess(about: dict[str, Any]) -> Preprocess:
    """The run's own, or by the model's name."""
    given = about.get("preprocess")
    if not isinstance(given, dict):
        return preprocess(about["model"]) if about.get("model") else IMAGENET
    with foreign("the store's attributes are damaged: preprocess"):
        mean, std = (_three(given[key]) for key in ("mean", "std"))
        way = Image.Resampling[given["interpolation"].upper()]
        sides = {key: int(given[key]) for key in ("resize", "size")}
        if not all(1 <= each <= _LARGEST for each in sides.values()):
            raise ValueError(f"got {given}")
    kept = bool(given.get("keep_aspect", True))
    return Preprocess(mean=mean, std=std, interpolation=way, keep_aspect=kept, **sides)


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    red, green, blue = (float(each) for each in values)
    return red, green, blue
