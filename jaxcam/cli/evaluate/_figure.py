"""The figure of `jaxcam evaluate`: bars of every metric, and what is kept of a class against what is found of it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ...metrics._registry import TABLE
from ._summary import Line, best, value

if TYPE_CHECKING:
    import matplotlib.axes

INK, QUIET, RULE = "#1d2129", "#8b919c", "#e4e6ea"
BAR, BEST, FLOOR = "#7d9cc0", "#e07b39", "#c9cdd4"
NAMES, COLUMN, SCATTER, GAP = 1.5, 1.3, 5.0, 0.14  # inches; NAMES at least
LETTER = 0.066  # inches of a name's letter
HEAD, ROW, FOOT, LEAST, NARROWEST = 1.02, 0.235, 0.55, 4.2, 6.2
QUIETLY = {"size": 7.5, "color": QUIET}
SCATTERED = "average_drop", "insertion_minus_deletion"


def draw(file: IO[bytes], lines: Mapping[str, Sequence[Line]]) -> None:
    """Writes a PNG: for each model a row of bars, a column for each metric, and a scatter where there is one to draw.

    Args:
        lines: of each model, by its name.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Find what there is to draw, and the size of the figure in inches.
    metrics = [
        metric for metric in TABLE if any(metric in line.means for each in lines.values() for line in each)
    ]
    scatter = set(SCATTERED) <= set(metrics)
    heights = [max(HEAD + ROW * len(each) + FOOT, LEAST if scatter else 0) for each in lines.values()]
    longest = max(len(line.method) for each in lines.values() for line in each)
    names = max(NAMES, LETTER * longest + 0.2)
    width = names + 0.25 + len(metrics) * (COLUMN + GAP) + (0.75 + SCATTER if scatter else 0)
    width = max(width, NARROWEST)
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "text.color": INK,
        "axes.edgecolor": RULE,
    }
    # Draw the models one below the other.
    with rc_context(style):
        figure = Figure(figsize=(width, sum(heights)), dpi=150, facecolor="white")
        FigureCanvasAgg(figure)
        top = sum(heights)
        for (name, each), height in zip(lines.items(), heights, strict=True):

            def place(x: float, wide: float, top: float = top, height: float = height) -> Any:
                box = (x, top - height + FOOT, wide, height - HEAD - FOOT)
                return figure.add_axes(tuple(np.divide(box, (width, sum(heights)) * 2)))

            note = (
                f"means of {max(line.maps for line in each)} maps in %, with standard errors; "
                "orange: the best; grey: baseline maps"
            )
            for below, text, font in ((0.34, name, {"size": 12, "weight": "bold"}), (0.55, note, QUIETLY)):
                figure.text(0.15 / width, (top - below) / sum(heights), text, **font)
            for number, metric in enumerate(metrics):
                _bars(place(names + number * (COLUMN + GAP), COLUMN), each, metric, named=number == 0)
            if scatter:
                _scatter(place(names + len(metrics) * (COLUMN + GAP) + 0.6, SCATTER), each)
            top -= height
        figure.savefig(file, format="png", facecolor="white", dpi="figure")


def _bars(axes: "matplotlib.axes.Axes", lines: Sequence[Line], metric: str, *, named: bool) -> None:

    shown, winners = TABLE[metric], best(lines, metric)
    rows = [(y, line) for y, line in enumerate(lines) if metric in line.means]
    means = [shown.factor * line.means[metric] for _, line in rows]
    errors = [shown.factor * line.errors.get(metric, 0) for _, line in rows]
    colours = [_colour(line, line.method in winners) for _, line in rows]
    axes.barh([y for y, _ in rows], means, color=colours, height=0.7)
    axes.errorbar(
        means, [y for y, _ in rows], xerr=errors, fmt="none", ecolor=INK, elinewidth=0.7, alpha=0.55
    )
    low, high = min([0, *np.subtract(means, errors)]), max([0, *np.add(means, errors)])
    axes.set_xlim(low - 0.3 * (high - low) * (low < 0), high + 0.3 * (high - low) + 1e-9)
    for (y, line), mean, error in zip(rows, means, errors, strict=True):
        bold = "bold" if line.method in winners else "normal"
        end = mean + error if mean >= 0 else mean - error
        axes.annotate(
            value(line, metric), (end, y), (3 if mean >= 0 else -3, 0), textcoords="offset points",
            ha="left" if mean >= 0 else "right", va="center", size=6.5, weight=bold,
        )  # fmt: skip
    axes.axvline(0, color=QUIET, linewidth=0.6)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_title(f"{shown.title} {shown.arrow}", size=7.5, loc="left", pad=5)
    axes.set_xticks([])
    axes.set_yticks(range(len(lines)), [line.method for line in lines] if named else [""] * len(lines))
    axes.tick_params(length=0, labelsize=7.5)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(QUIET if line.forwards is None else INK)
    axes.spines[:].set_visible(False)


def _scatter(axes: "matplotlib.axes.Axes", lines: Sequence[Line]) -> None:

    lines = [line for line in lines if set(SCATTERED) <= set(line.means)]
    across, along = (TABLE[metric] for metric in SCATTERED)
    x, y = (np.array([TABLE[metric].factor * line.means[metric] for line in lines]) for metric in SCATTERED)
    dx, dy = (
        np.array([TABLE[metric].factor * line.errors.get(metric, 0) for line in lines])
        for metric in SCATTERED
    )
    colours = [_colour(line, False) for line in lines]
    axes.errorbar(x, y, yerr=dy, xerr=dx, fmt="none", ecolor=RULE, elinewidth=0.8, zorder=1)
    axes.scatter(x, y, s=26, c=colours, edgecolors="white", linewidths=0.6, zorder=3)
    axes.set_xlabel(f"{across.title} {across.arrow}, %", size=7.5)
    axes.set_ylabel(f"{along.title} {along.arrow}, %", size=7.5)
    axes.invert_xaxis()
    axes.margins(0.14)
    axes.set_title("up and to the right is better; lines are standard errors", **QUIETLY, loc="left", pad=5)
    axes.grid(color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=7, labelcolor=QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    inks = [QUIET if line.forwards is None else INK for line in lines]
    _label(axes, np.stack([x, y], 1), [line.method for line in lines], inks)


def _label(
    axes: "matplotlib.axes.Axes", points: np.ndarray, names: Sequence[str], colours: Sequence[str]
) -> None:
    """Writes each name at the nearest place around its point where it covers no point and no other name."""
    figure = axes.figure
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # now, and whatever is drawn from here on
    renderer = figure.canvas.get_renderer()  # pyright: ignore[reportAttributeAccessIssue]  (Agg's has one)
    inner, point = axes.get_window_extent(renderer), figure.dpi / 72
    # Points in the same place share a label.
    spots: list[tuple[np.ndarray, list[str], str]] = []
    for where, name, colour in zip(axes.transData.transform(points), names, colours, strict=True):
        same = next((each for each in spots if np.hypot(*(each[0] - where)) < 2.5 * point), None)
        if same:
            same[1].append(name)
        else:
            spots.append((where, [name], colour))
    # Try positions around each point, the nearest first.
    taken = [(x - 4 * point, y - 4 * point, x + 4 * point, y + 4 * point) for (x, y), *_ in spots]
    angles = np.deg2rad([0, 180, 90, 270, 45, 135, 315, 225, 20, 160, 340, 200, 70, 110, 250, 290])
    for (x, y), together, colour in spots:
        text = axes.text(
            0, 0, "\n".join(together), size=7, color=colour, zorder=4, ha="left", va="bottom", transform=None
        )
        wide, high = text.get_window_extent(renderer).size
        choices = []
        for reach, angle in product(np.array([6, 10, 15, 22, 30, 42, 56, 72, 90]) * point, angles):
            cos, sin = np.cos(angle), np.sin(angle)
            left = x + reach * cos + wide * (cos - 1) / 2
            low = y + reach * sin + high * (sin - 1) / 2
            box = (left - point, low - point, left + wide + point, low + high + point)
            outside = left < inner.x0 or low < inner.y0 or box[2] > inner.x1 or box[3] > inner.y1
            covered = sum(_overlap(box, other) for other in taken)
            choices.append((1e6 * outside + covered, len(choices), reach, (left, low), box))
        _, _, reach, corner, box = min(choices)
        taken.append(box)
        text.set_position(corner)
        if reach > 8 * point:
            end = np.clip((x, y), box[:2], box[2:])
            line = axes.transData.inverted().transform([(x, y), end])
            axes.plot(*line.T, color=colour, linewidth=0.5, alpha=0.6, zorder=2)


def _overlap(a: tuple, b: tuple) -> float | np.floating:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _colour(line: Line, wins: bool) -> str:
    return FLOOR if line.forwards is None else BEST if wins else BAR
