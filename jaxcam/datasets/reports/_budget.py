"""Pictures and maps of a report, in blocks: pictures as large as the budget allows."""

import io
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..store._columns import FAILED
from ._data import Scan
from ._pictures import Pictures, Seen

BLOCK = 50  # records that a browser takes apart at once
SAMPLE = 12  # pictures that tell how large a level is
SLACK = 1.2  # a block may take that much of its share


class Level(NamedTuple):
    """How a picture is stored: sides in pixels at most, and WebP's quality."""

    edge: int
    quality: int


LEVELS = tuple(
    Level(*each)
    for each in (
        *((384, 80), (320, 78), (288, 75), (256, 74), (224, 72), (192, 70), (160, 66)),
        *((144, 62), (128, 58), (112, 54), (96, 50), (80, 45), (64, 40), (48, 30)),
    )
)


class Blocks:
    """The records' pictures and maps, in an order.

    Args:
        scans: the stores, and `pictures` the same stores' pictures.
        table: (stores, records): the row of each record in each store, -1 where it has none.
    """

    def __init__(self, scans: Sequence[Scan], table: np.ndarray, pictures: Sequence[Pictures]):
        self._scans, self._table, self._sources = scans, table, pictures
        self._tops = [_tops(each) for each in scans]
        self.pictures = 0  # how many are in the blocks that were written
        self.lost = 0  # how many were not found, of records that did not fail

    def write(self, room: int) -> Iterator[list]:
        """Blocks of entries: picture (WebP, base64), note, maps of each store, likely classes of each store.

        Args:
            room: bytes for all of them, as JSON.

        Raises:
            ValueError: the maps alone do not fit.
        """
        count = self._table.shape[1]
        rest = sum(
            len(json.dumps(self._entry(record), separators=(",", ":"))) + 30 for record in range(count)
        )
        if rest > room:
            raise ValueError(
                f"the maps of {count} records take {rest / 1e6:.2f} MB without their pictures, more than the "
                f"budget leaves: pass a larger one, or a limit of about {max(1, count * room // rest)}"
            )
        room -= rest
        with ThreadPoolExecutor(thread_name_prefix="pictures") as pool:
            some = np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(int))
            sizes = _Sizes([each for each in pool.map(self._see, some.tolist()) if each.view])
            for start in range(0, count, BLOCK):
                records = range(start, min(start + BLOCK, count))
                share = room * len(records) / (count - start)
                block = self._fill(pool, records, sizes, share, min(float(room), share * SLACK))
                room -= sum(len(picture or "") + len(note) for picture, note, *_ in block)
                yield block

    def _fill(
        self, pool: ThreadPoolExecutor, records: range, sizes: "_Sizes", share: float, most: float
    ) -> list:
        """Entries with pictures of the first level that should fit, or the first below it that does."""
        seen = list(pool.map(self._see, records))
        made: list[str | None] = [None] * len(seen)
        for level in LEVELS:
            if sizes[level] * len(records) <= share:
                encoded = list(pool.map(lambda each, level=level: _encode(each, level), seen))
                if sum(len(each or "") for each in encoded) <= most:
                    made = encoded
                    break
        self.pictures += sum(each is not None for each in made)
        self.lost += sum(
            each.view is None and not self._failed(record) for each, record in zip(seen, records, strict=True)
        )
        notes = [
            each.note or ("" if picture or each.view is None else "left out: beyond the report's budget")
            for each, picture in zip(seen, made, strict=True)
        ]
        return [
            [picture, note, *self._entry(record)]
            for picture, note, record in zip(made, notes, records, strict=True)
        ]

    def _see(self, record: int) -> Seen:
        """The picture of a record, from the first store whose source still has it."""
        rows = self._table[:, record].tolist()
        first = None
        for source, row in zip(self._sources, rows, strict=True):
            seen = source.see(row) if row >= 0 else None
            if seen and seen.view:
                return seen
            first = first or seen
        return first or Seen(None)

    def _failed(self, record: int) -> bool:
        """Whether the record failed in every store that has it."""
        rows = zip(self._scans, self._table[:, record].tolist(), strict=True)
        return {int(scan.columns["status"][row]) for scan, row in rows if row >= 0} == {FAILED}

    def _entry(self, record: int) -> list:
        rows = self._table[:, record].tolist()
        maps = [
            [base64(each.tobytes()) for each in scan.maps[row]] if row in scan.maps else None
            for scan, row in zip(self._scans, rows, strict=True)
        ]
        tops = [
            top(row) if row in scan.maps else None
            for scan, row, top in zip(self._scans, rows, self._tops, strict=True)
        ]
        return [maps, tops]


class _Sizes(dict[Level, float]):
    """Mean bytes of an encoded picture at each level, measured on a few pictures when first needed."""

    def __init__(self, some: Sequence[Seen]):
        super().__init__()
        self._some = some

    def __missing__(self, level: Level) -> float:
        self[level] = sum(len(_encode(each, level) or "") for each in self._some) / max(1, len(self._some))
        return self[level]


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def _encode(seen: Seen, level: Level) -> str | None:
    if seen.view is None:
        return None
    view, file = seen.view, io.BytesIO()
    if view.width > level.edge:
        view = view.resize((level.edge, round(level.edge * view.height / view.width)), Image.Resampling.BOX)
    view.save(file, "WEBP", quality=level.quality, method=4)
    return base64(file.getvalue())


def _tops(scan: Scan) -> Any:
    """row -> [(class, probability), ...] of the most likely classes.

    The softmax over all classes is gone, but that of the target is stored: p = p_target exp(logit - score).
    """
    store = scan.store
    if "top_class" not in store.arrays or "top_logit" not in store.arrays:
        return lambda row: None
    classes, logits = store.read("top_class"), store.read("top_logit")
    score, probability = scan.columns["score"][:, :1], scan.columns["probability"][:, :1]
    with np.errstate(over="ignore", invalid="ignore"):
        shares = np.nan_to_num(probability * np.exp(logits.astype(np.float64) - score)).clip(0, 1)
    return lambda row: list(zip(classes[row].tolist(), shares[row].round(4).tolist(), strict=True))
