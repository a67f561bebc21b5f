"""The page and the roofline, from the rows."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .bench import Row

ABOUT = ("part", "device", "sizes", "jax", "note", "part took (s)", "load average")


class Goal(NamedTuple):
    """What is to be reached: in words, the row it is read from, the figure, and which side is good."""

    words: str
    wanted: Callable[[Row], bool]
    figure: str
    low: bool
    bound: float


def _has(**wanted) -> Callable[[Row], bool]:
    return lambda row: all(row.get(name.replace("_", " ")) == value for name, value in wanted.items())


GOALS = (
    Goal(
        "Grad-CAM, ResNet-50, bfloat16, batch 128: at most 1.05 forward passes",
        _has(part="forward: resnet50", what="gradcam", dtype="bfloat16", batch=128),
        "over forward",
        True,
        1.05,
    ),
    Goal(
        "Grad-CAM, float32, batch 32: at least 5 times as fast as pytorch-grad-cam",
        _has(part="peers", what="gradcam", side="pytorch-grad-cam", batch=32),
        "times ours",
        False,
        5,
    ),
    Goal(
        "Score-CAM: at least 0.8 of the rate of plain forward passes",
        _has(part="masks", what="scorecam", by_default=True),
        "of plain rate",
        False,
        0.8,
    ),
    Goal(
        "k-means of 64 pictures: at least 100 times as fast as scikit-learn's loop",
        _has(part="k-means", what="all at once", images=64),
        "times faster",
        False,
        100,
    ),
    Goal("ROAD of one picture: at most 20 ms", _has(part="metrics", what="road", batch=1), "ms", True, 20),
    Goal(
        "no copy between host and device inside a batch",
        _has(part="synchronisation", what="profile of 5 batches"),
        "copies from or to the host",
        True,
        0,
    ),
)


def write(file: Path, rows: list[Row]) -> None:
    """The page, and beside it the roofline of each device that has one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    full = [row for row in rows if row["sizes"] == "full"]
    lines = [
        "# On an accelerator",
        "",
        "`python benchmarks/accelerator.py`; [the rows](accelerator.jsonl).",
        "",
    ]
    if not full:
        lines += [
            "**Not run on an accelerator.** No machine with a GPU or a TPU was at hand: the goals below are open, and "
            "the tables are of small networks and pictures on a CPU. They show that every part runs, and tell nothing "
            "of an accelerator's times.",
            "",
        ]
    lines += ["| goal | measured | |", "|---|---:|---|", *(_goal(goal, full) for goal in GOALS), ""]
    for device, sizes in dict.fromkeys((row["device"], row["sizes"]) for row in rows):
        mine = [row for row in rows if (row["device"], row["sizes"]) == (device, sizes)]
        picture = file.with_name(f"{file.stem}-{device}-{sizes}.png".replace(" ", "-"))
        lines += [f"## {device}, {sizes} sizes", "", _conditions(mine), ""]
        if roofline(picture, mine):
            lines += [f"![Rate over intensity of each program]({picture.name})", ""]
        for part in dict.fromkeys(row["part"] for row in mine):
            lines += _part(part, [row for row in mine if row["part"] == part])
    file.write_text("\n".join(lines).rstrip() + "\n")


def _goal(goal: Goal, rows: list[Row]) -> str:
    found = [row[goal.figure] for row in rows if goal.wanted(row) and goal.figure in row]
    if not found:
        return f"| {goal.words} | | not run |"
    worst = max(found) if goal.low else min(found)
    reached = worst <= goal.bound if goal.low else worst >= goal.bound
    return f"| {goal.words} | {worst} | {'reached' if reached else 'missed'} |"


def _conditions(rows: list[Row]) -> str:
    versions = ", ".join(sorted({f"jax {row['jax']}" for row in rows}))
    took = sum({row["part"]: row["part took (s)"] for row in rows}.values())
    notes = "".join(sorted({f"; {row['note']}" for row in rows if "note" in row}))
    load = max(row.get("load average", 0) for row in rows)
    return (
        f"{versions}{notes}; {took:.0f} s in all, load average up to {load:.0f}. Random weights and pictures. Times are medians of rounds in which what "
        "is compared takes turns. Memory is arguments, results and temporaries of the compiled program. GB moved is "
        "the compiler's own count."
    )


def _part(part: str, rows: list[Row]) -> list[str]:
    """A heading and a table; rows of one part may have different columns."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ABOUT))
    took = rows[0]["part took (s)"]
    lines = [f"### {part} ({took:.0f} s)", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]
    return [*lines, ""]


def roofline(file: Path, rows: list[Row]) -> bool:
    """Rate over arithmetic intensity, below the measured ceilings. False where they were not measured."""
    products = {
        (r["dtype"], r["arithmetic"]): r["TFLOP/s"] for r in rows if r.get("what") == "matrix product"
    }
    copies = [row["GB/s"] for row in rows if row.get("what") == "copy"]
    points = [row for row in rows if row.get("GB moved") and row.get("GFLOP") and "ms" in row]
    if not (products and copies and points):
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    speeds = [row["GFLOP"] / row["ms"] for row in points]  # TFLOP/s
    places = [row["GFLOP"] / row["GB moved"] for row in points]
    low, high = min(places) / 2, 2 * max(*places, *(1e3 * top / copies[0] for top in products.values()))
    for number, ((dtype, arithmetic), top) in enumerate(products.items()):
        corner = 1e3 * top / copies[0]
        label = arithmetic if arithmetic == dtype else f"{dtype} ({arithmetic})"
        axes.plot(
            [low, corner, high], [top * low / corner, top, top], color=f"C{number}", label=f"ceiling, {label}"
        )
    labels = list(dict.fromkeys((_name(row), row["dtype"]) for row in points))
    for number, (name, dtype) in enumerate(labels):
        chosen = [i for i, row in enumerate(points) if (_name(row), row["dtype"]) == (name, dtype)]
        axes.scatter(
            [places[i] for i in chosen],
            [speeds[i] for i in chosen],
            s=18,
            marker="o^sDvP*X"[number % 8],
            color=f"C{(number + len(products)) % 10}",
            label=f"{name}, {dtype}",
        )
    axes.set(xscale="log", yscale="log", xlabel="FLOP a byte", ylabel="TFLOP/s", title=rows[0]["device"])
    bottom = 10 ** math.floor(math.log10(min(speeds)))
    axes.set_ylim(bottom=bottom)
    figure.legend(fontsize=6, loc="outside right upper")
    figure.savefig(file, dpi=110)
    return True


def _name(row: Row) -> str:
    return f"{row['model']}, {row['what']}" if row["part"].startswith("forward") else row["part"]
