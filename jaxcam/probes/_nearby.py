"""Layers near one that no gradient reaches, by the names of a model's modules."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NORM = re.compile(r"[^.]*(norm|ln)[^.]*", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*?)(\d+)")


class _Block(NamedTuple):
    """One of a row of modules that differ in a number: `("blocks", "11")`, `("encoder", "layer_11")`."""

    row: tuple[str, ...]
    number: int
    path: tuple[str, ...]


def nearby(paths: Sequence[str], here: str) -> Iterator[str]:
    """Layers to look at instead: the norms of the block that holds the layer, or of the last block where none does,
    and the block before that one.

    In a transformer of which the class token alone is read, what follows the attention of the last block gives the
    patches no gradient. The block's first norm comes before that.

    Args:
        paths: of all modules.
        here: the layer.
    """
    rows: dict[tuple[str, ...], dict[int, _Block]] = defaultdict(dict)
    for path in paths:
        for each in _blocks(path):
            rows[each.row][each.number] = each
    inside = [each for each in _blocks(here) if len(rows[each.row]) > 1]
    longest = max(rows.values(), key=len, default={})
    if not inside and len(longest) < 2:
        return
    block = inside[0] if inside else longest[max(longest)]
    name = ".".join(block.path)
    parts = [path for path in paths if path.startswith(f"{name}.")]
    norms = sorted(path for path in parts if _NORM.fullmatch(path.removeprefix(f"{name}.")))
    before = rows[block.row].get(block.number - 1)
    candidates = [*norms, *([".".join(before.path)] if before else [])]
    yield from (each for each in candidates if each != here)


def _blocks(path: str) -> Iterator[_Block]:
    steps = tuple(path.split("."))
    for count, step in enumerate(steps, start=1):
        if found := _NUMBERED.fullmatch(step):
            yield _Block((*steps[: count - 1], found[1]), int(found[2]), steps[:count])
