"""One HTML file from stores of maps: pictures with their maps to look through, and the figures of all."""

import html
import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from matplotlib import colormaps

from ...files._whole import whole
from ..store._foreign import open_foreign
from ..store._store import Store
from ._budget import BLOCK, Blocks, base64
from ._data import Scan, scan
from ._flat import aspect
from ._pictures import Pictures
from ._rows import match, names, rows

EDGES = (28, 20, 14, 10, 7)  # of the maps: the largest that leaves half of the budget to the pictures
THINGS = {1: "signal", 2: "picture", 3: "volume"}  # what a record is called, by the rank of its map
COLOURS = ("turbo", "jet", "viridis", "magma", "gray")
SCRIPTS = ("tools", "data", "maps", "state", "panels", "grid", "dialog", "figures", "main")


class Written(NamedTuple):
    """What `report` wrote.

    Attributes:
        records: all that the stores name, each picture once.
        shown: how many of them the page shows as pictures; its figures cover all.
        pictures: those among them that are shown with their picture.
        lost: those whose picture was not found; one that failed in the run, whose picture may never have been one, is
            not counted.
        size: of the file, in bytes.
    """

    out: Path
    records: int
    shown: int
    pictures: int
    size: int
    lost: int = 0


def report(
    stores: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    pictures: str | Path | None = None,
    limit: int = 5000,
    budget: float | int = 14,
    title: str | None = None,
) -> Written:
    """Writes one HTML file that shows the maps of one or more stores; a browser needs nothing else.

    Records of several stores are shown side by side where their paths are the same. Pictures are found below the
    folder of the stores' source, links resolved: one that has moved, or lies elsewhere, is shown as its map alone, with
    a note. A store may be a stranger's and name a folder of yours: pass `pictures` then.

    Args:
        stores: folders or URLs that `jaxcam run` wrote.
        out: the file to write; it takes its name when it is complete.
        pictures: folder that the stores' paths are relative to, and that pictures must lie below, instead of the
            source's.
        limit: records shown as pictures, spread evenly over the data set. Figures cover all records.
        budget: the file's size in MB (millions of bytes) at most: pictures are as large as it allows.
        title: of the page.

    Raises:
        ValueError: no store, a damaged one, one without records, stores that name classes differently, more maps than
            the budget holds, or no such folder of pictures.
        OSError: a store that cannot be read, or a file that cannot be written.
    """
    # Check the arguments.
    places = [stores] if isinstance(stores, (str, Path)) else list(stores)
    if not places:
        raise ValueError("a report needs at least one store")
    if limit < 1:
        raise ValueError(f"limit must be the number of records shown, at least 1; got {limit}")
    if not budget > 0:
        raise ValueError(f"budget must be a number of MB above 0; got {budget}")
    if pictures is not None and not Path(pictures).is_dir():
        raise ValueError(f"pictures: no folder {str(pictures)!r}")
    # Open the stores, match their records by path and choose those to show.
    opened = [open_foreign(each) for each in places]
    _check_ranks(opened)
    paths, table = match(opened)
    if not paths:
        raise ValueError(f"{places[0]} holds no records yet")
    records = len(paths)
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(limit, len(paths))).round().astype(int))
    table, paths = table[:, chosen], [paths[each] for each in chosen]
    # Read what the page shows of all records.
    room = int(budget * 1e6)
    edge = _edge(opened, len(paths), room)
    scans = [
        scan(store, keep=[row for row in column.tolist() if row >= 0], edge=edge)
        for store, column in zip(opened, table, strict=True)
    ]
    out, root = Path(out), None if pictures is None else Path(pictures)
    about = {
        "title": title or _title(scans),
        "records": records,
        **rows(scans, table, paths),
        "thing": THINGS[opened[0].rank],
        "aspect": aspect(_space(opened[0])),
        "block": BLOCK,
        "colours": {name: base64(_colours(name)) for name in COLOURS},
    }
    # Write the page, the pictures last.
    with whole(out) as file:
        blocks = Blocks(scans, table, [Pictures(each, root=root) for each in opened])
        _write(file, about, blocks, room)
        size = file.tell()
    return Written(out, records, len(paths), blocks.pictures, size, blocks.lost)


def _write(file: IO[bytes], about: dict[str, Any], blocks: Blocks, room: int) -> None:
    head, tail = _page(about["title"])
    file.write(head)
    file.write(_script("about", about))
    fixed = file.tell() + len(tail)
    if fixed >= room:
        raise ValueError(
            f"the page takes {fixed / 1e6:.2f} MB without pictures and maps: pass a larger budget"
        )
    room -= fixed
    for number, block in enumerate(blocks.write(room)):
        file.write(_script(f"block-{number}", block))
    file.write(tail)


def _page(title: str) -> tuple[bytes, bytes]:
    """The page before and after its data."""
    folder = resources.files("jaxcam.datasets.reports") / "_page"
    page = (folder / "page.html").read_text("utf-8")
    scripts = "\n".join((folder / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    page = page.replace("/*style*/", (folder / "page.css").read_text("utf-8"))
    head, tail = page.replace("{title}", html.escape(title)).split("<!--data-->")
    return head.encode(), tail.replace("/*script*/", scripts).encode()


def _script(name: str, value: object) -> bytes:
    """JSON inside the page, where `<` must not appear: a path may hold `</script>`."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'.encode()


def _edge(stores: Sequence[Store], records: int, room: int) -> int:
    """Longest side of the flat maps: the largest that takes half of the room at most, or the smallest.

    `EDGES` are those of pictures; a signal's map has one row of cells, and a volume's two panels beside each other.
    """
    targets = sum(math.prod(store.array("maps").shape[1 : -store.rank]) for store in stores)
    rank = stores[0].rank
    edges = [edge * {1: 8, 2: 1, 3: 2}[rank] for edge in EDGES]
    fits = (edge for edge in edges if records * targets * edge ** min(rank, 2) * 4 / 3 <= room / 2)
    return next(fits, edges[-1])


def _title(scans: Sequence[Scan]) -> str:
    models = dict.fromkeys(str(scan.store.attributes.get("model") or "a model") for scan in scans)
    return (
        f"{', '.join(names(scans))} on {', '.join(models)}" if len(models) == 1 else ", ".join(names(scans))
    )


def _space(store: Store) -> tuple[int, ...]:
    """The spatial size of a map."""
    return tuple(store.array("maps").shape[-store.rank :])


def _check_ranks(stores: Sequence[Store]) -> None:
    ranks = sorted({store.rank for store in stores})
    if len(ranks) > 1:
        names = " and ".join(f"{THINGS[rank]}s" for rank in ranks)
        raise ValueError(f"maps of {names} cannot stand side by side: make a report of each")


def _colours(name: str) -> bytes:
    """256 colours from a map's 0 to its 1: red, green, blue."""
    return (255 * colormaps[name](np.arange(256))[:, :3]).round().astype(np.uint8).tobytes()
