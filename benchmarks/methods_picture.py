"""The README's picture: one scene of the demo, and what every method shows of it, by groups.

`python benchmarks/methods_picture.py` writes results/methods.png. Methods and groups are those of `jaxcam.methods.GROUPS`:
one that is new appears by itself. Each gets the first probe that it takes: of several layers or of one, baselines of
the input, methods for attention that of the demo's transformer.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageFilter

import jaxcam
from jaxcam.demo._figure import glow
from jaxcam.demo._network import LAYER, load, prepare
from jaxcam.demo._scenes import scenes
from jaxcam.demo._vit import vit
from jaxcam.methods import GROUPS

RESULTS = Path(__file__).parent / "results"
LAYERS = ("stage1", "stage2", "stage3")  # of methods for several layers

# The probes that a method, or those of a group, is offered, where they are not several layers and then one
KINDS = {
    "fullgrad": ("input",),
    "attention": ("transformer",),
    "baselines": ("input and layer", "input", "layer"),
    "transforms": ("layer",),
}

# In pixels. The page shows the picture at three fifths of its size.
COLUMNS, PANEL, GAP, MARGIN = 8, 162, 14, 24
TITLE, NAME, LINE = 42, 50, 20  # above a row of maps, below it, and between the lines of a name
SCENE = 2  # rows and columns of the scene's own panel
LETTER = 12  # of a title
STEPS = (
    8,
    10,
    12,
    16,
    24,
)  # of the 256 levels: hardly seen in the grain; the first that makes the file small enough
LARGEST = 480_000  # bytes
PAPER, TEXT, QUIET, MARK = "#14171d", "#ece8dd", "#8f96a3", "#ffffff"
COLOURS = {
    "gradient": "#f2a65a",
    "masks": "#7fc8a9",
    "heads only": "#d4c15e",
    "no class": "#b79ce8",
    "of a base method": "#ef8a97",
    "attention": "#6fb7ee",
    "baselines": "#aab2bf",
    "transforms": "#f0d9a8",
}


class Shown(NamedTuple):
    """One panel: its group, the method's name, and its map in [0, 1]."""

    group: str
    name: str
    map: np.ndarray


def maps(image: np.ndarray, digit: int) -> Iterator[Shown]:
    """The maps of all methods that run, one after the other."""
    network = load()
    probes = {
        "layers": jaxcam.probe(network, LAYERS),
        "layer": jaxcam.probe(network, LAYER),
        "input": jaxcam.probe(network, jaxcam.INPUT),
        "input and layer": jaxcam.probe(network, (jaxcam.INPUT, LAYER)),
        "transformer": jaxcam.probe(*vit()),
    }
    transforms = {
        str(each): each
        for each in (
            jaxcam.smoothed(jaxcam.gradcam),
            jaxcam.augmented(jaxcam.gradcam),
            jaxcam.integrated(jaxcam.gradcam),
        )
    }
    for group, methods in (GROUPS | {"transforms": transforms}).items():
        for name, method in methods.items():
            for kind in KINDS.get(name, KINDS.get(group, ("layers", "layer"))):
                if reason := refused(method, probes[kind], image):
                    continue
                shown = jaxcam.explain(probes[kind], image[None], digit, method=method)
                yield Shown(group, name, np.asarray(shown[0]))
                break
            else:
                print(f"{name} does not run on the demo's networks: {reason}")


def refused(method: Callable, probe: jaxcam.Probe, image: np.ndarray) -> str:
    """Why a method does not take a probe; nothing if it does."""
    try:
        jax.eval_shape(lambda p, x: method(p, x, 0), probe, jnp.asarray(image))
    except (TypeError, ValueError) as error:
        return str(error).split(". ")[0]
    return ""


def arranged(counts: Mapping[str, int]) -> dict[str, list[tuple[int, int]]]:
    """Row and column of every panel, by group: groups follow each other as words in a text, around the scene.

    The first group comes first; of the orders of the others, one in the fewest rows whose titles have room, and then the
    one nearest to the order given.
    """
    first, *others = counts
    orders = ({each: counts[each] for each in (first, *order)} for order in itertools.permutations(others))
    found = ((in_rows(order), list(order)[1:]) for order in orders)
    return min(found, key=lambda each: (rows_of(each[0]), crowded(each[0]), disorder(each[1], others)))[0]


def in_rows(counts: Mapping[str, int]) -> dict[str, list[tuple[int, int]]]:
    """A group that does not fit into the rest of a row begins the next."""
    places, row, column = {}, 0, SCENE
    for group, count in counts.items():
        if count > COLUMNS - column and column > first_column(row):
            row, column = row + 1, first_column(row + 1)
        places[group] = []
        for _ in range(count):
            if column == COLUMNS:
                row, column = row + 1, first_column(row + 1)
            places[group].append((row, column))
            column += 1
    return places


def first_column(row: int) -> int:
    return SCENE if row < SCENE else 0


def rows_of(places: Mapping[str, list[tuple[int, int]]]) -> int:
    return 1 + max(row for each in places.values() for row, _ in each)


def crowded(places: Mapping[str, list[tuple[int, int]]]) -> int:
    """Number of titles that are wider than their groups and not over the last column, where there is room."""
    return sum(
        len(group) * LETTER > (PANEL + GAP) * len(each) and each[-1][1] < COLUMNS - 1
        for group, each in places.items()
    )


def disorder(order: list[str], given: list[str]) -> int:
    places = [given.index(each) for each in order]
    return sum(a > b for a, b in itertools.combinations(places, 2))


def draw(path: Path, picture: np.ndarray, digit: int, box: np.ndarray, shown: list[Shown], step: int) -> None:
    """Writes the PNG, colours in steps of so many of the 256 levels."""
    from matplotlib.figure import Figure

    # Find the places.
    groups: dict[str, list[Shown]] = {}
    for each in shown:
        groups.setdefault(each.group, []).append(each)
    places = arranged({group: len(each) for group, each in groups.items()})
    rows = rows_of(places)
    across, down = PANEL + GAP, TITLE + PANEL + NAME
    width, height = 2 * MARGIN + COLUMNS * across - GAP, 2 * MARGIN + rows * down - NAME // 4
    at = lambda row, column: (MARGIN + column * across, MARGIN + row * down + TITLE)  # noqa: E731

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    canvas = np.full((height, width, 3), [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)

    # Draw the scene, and what is asked.
    side = min(SCENE * across - GAP, SCENE * down - TITLE - NAME)
    x, y = at(0, 0)
    _put(canvas, x, y, enlarged(picture, side), step)
    _outline(axes, x, y, box * side / picture.shape[0], width=2.2)
    _write(axes, x, y - 15, f"What speaks for the {digit}?", 21, TEXT, weight="bold")
    _write(axes, x, y + side + 27, "One scene, two small networks,", 17, QUIET)
    _write(axes, x, y + side + 49, "and a map by each method.", 17, QUIET)

    # Draw the maps.
    small = enlarged(calm(picture), PANEL)
    for group, members in groups.items():
        colour = COLOURS.get(group, TEXT)
        for number, ((row, column), each) in enumerate(zip(places[group], members, strict=True)):
            x, y = at(row, column)
            _put(canvas, x, y, glow(small, enlarged(each.map, PANEL)), step)
            _outline(axes, x, y, box * PANEL / picture.shape[0], width=1.0, alpha=0.65)
            same_row = [c for r, c in places[group] if r == row]
            if column == same_row[0]:  # a line over all of the group in this row
                end = at(row, same_row[-1])[0] + PANEL
                axes.plot([x, end], [y - 7, y - 7], color=colour, linewidth=2.2, solid_capstyle="butt")
            if number == 0:
                # a long title over the last column ends with it
                left = column < COLUMNS - 1 or LETTER * len(group) <= PANEL
                place, side_of = (x, "left") if left else (x + PANEL, "right")
                _write(axes, place, y - 15, group, 19, colour, weight="bold", align=side_of)
            for place, line in enumerate(in_lines(each.name)):
                _write(axes, x + PANEL / 2, y + PANEL + 20 + LINE * place, line, 16.5, TEXT, align="center")

    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    figure.savefig(path, dpi=100, facecolor=PAPER)
    with Image.open(path) as drawn:  # without the fourth channel
        drawn.convert("RGB").save(path, optimize=True)


def in_lines(name: str) -> list[str]:
    """A long name in two lines, broken after a bracket or an underscore."""
    if len(name) <= 16:
        return [name]
    place = name.find("(") + 1 or max(i + 1 for i, letter in enumerate(name) if letter == "_" and i < 16)
    return [name[:place], name[place:]]


def calm(picture: np.ndarray) -> np.ndarray:
    """Without the slate's grain, which a small panel hardly shows and a file is large by."""
    seen = Image.fromarray(np.round(255 * picture).astype(np.uint8))
    return np.asarray(seen.filter(ImageFilter.MedianFilter(3))) / np.float32(255)


def enlarged(values: np.ndarray, side: int) -> np.ndarray:
    """`(H, W)` or `(H, W, 3)` in [0, 1] as a square of so many pixels."""
    planes = np.moveaxis(np.atleast_3d(values), -1, 0).astype(np.float32)
    made = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)) for plane in planes
    ]
    return np.clip(np.squeeze(np.stack(made, -1)), 0, 1)


def _put(canvas: np.ndarray, x: int, y: int, panel: np.ndarray, step: int) -> None:
    canvas[y : y + len(panel), x : x + len(panel)] = np.minimum(step * np.round(255 * panel / step), 255)


def _outline(axes: Any, x: float, y: float, box: np.ndarray, *, width: float, alpha: float = 1) -> None:
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = box + np.array([-2, -2, 2, 2])
    axes.add_patch(
        Rectangle(
            (x + x0, y + y0), x1 - x0, y1 - y0, fill=False, edgecolor=MARK, linewidth=width, alpha=alpha
        )
    )


def _write(
    axes: Any,
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    *,
    weight: str = "normal",
    align="left",
):
    """Text of a height in pixels, on its base line."""
    axes.text(x, y, text, color=colour, size=size * 0.72, weight=weight, ha=align, va="baseline")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "methods.png")
    parser.add_argument("--seed", type=int, default=3, help="of the scenes")
    parser.add_argument("--scene", type=int, default=7)
    parser.add_argument("--digit", type=int, default=0, help="which of the scene's digits")
    options = parser.parse_args()
    test = scenes(options.scene + 1, seed=options.seed)
    pixels, digit = test.images[-1], int(test.labels[-1, options.digit])
    shown = list(maps(np.asarray(prepare(pixels)), digit))
    for step in STEPS:
        draw(options.out, pixels / np.float32(255), digit, test.boxes[-1, options.digit], shown, step)
        if options.out.stat().st_size <= LARGEST:
            break
    print(f"{len(shown)} maps, {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
