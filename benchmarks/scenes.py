"""The demo's scenes, where the truth is known: every method and metric, and a figure for each paper.

`python benchmarks/scenes.py` needs no data: the network and the scenes come with the package. Writes
results/scenes.md and a figure for each of the four papers.
"""

import argparse
import functools
from pathlib import Path

import jax
import numpy as np

import jaxcam
from jaxcam import METHODS, metrics
from jaxcam.demo._figure import draw
from jaxcam.demo._network import LAYER, load, prepare
from jaxcam.demo._run import METHODS as SHOWN
from jaxcam.demo._scenes import scenes
from jaxcam.metrics._registry import TABLE
from jaxcam.probes._flops import flops

RESULTS = Path(__file__).parent / "results"
FIGURES = {
    "hirescam": {
        "Grad-CAM": ("gradcam", {}),
        "HiResCAM": ("hirescam", {}),
        "element-wise\nGrad-CAM": ("gradcam_elementwise", {}),
        "Layer-CAM": ("layercam", {}),
        "Grad-CAM++": ("gradcampp", {}),
    },
    "abscam": {
        "Grad-CAM": ("gradcam", {}),
        "Abs-CAM,\nphase 1": ("abscam", {"phase": 1}),
        "Abs-CAM": ("abscam", {}),
        "Abs-CAM,\nnormalised": ("abscam", {"merge": "normalised"}),
        "Score-CAM": ("scorecam", {}),
    },
    "clustercam": {
        "Grad-CAM": ("gradcam", {}),
        "Score-CAM": ("scorecam", {}),
        "Cluster-CAM": ("clustercam", {}),
        "Cluster-CAM,\nno knee": ("clustercam", {"knee": None}),
        "Cluster-CAM,\nhard": ("clustercam", {"merge": "hard", "score": "softmax"}),
    },
    "conceptorcam": {
        "Grad-CAM": ("gradcam", {}),
        "Conceptor-CAM": ("conceptorcam", {}),
        "Conceptor-CAM\nover HiResCAM": ("conceptorcam", {"base": "hirescam"}),
        "Conceptor-CAM\nover Layer-CAM": ("conceptorcam", {"base": "layercam"}),
        "Conceptor-CAM\nover Score-CAM": ("conceptorcam", {"base": "scorecam"}),
    },
}
FAITH = ("average_drop", "average_increase", "insertion", "deletion", "road", "complexity")
DRAWN = slice(2), slice(2)  # scenes, and digits of each, in a figure


def methods() -> dict[str, tuple[str, dict]]:
    """Every method of the demo as it is, and every setting that a figure shows."""
    found = {name: (name, {}) for name in SHOWN if name != "cam"}  # the network has no CAM layer
    for each in FIGURES.values():
        for name, options in each.values():
            if options:
                words = (
                    value if isinstance(value, str) else f"{key}={value}" for key, value in options.items()
                )
                found[" ".join([name, *words])] = name, options
    return found


def measured(probe, images, targets, boxes, maps) -> dict[str, float]:
    values = metrics.evaluate(
        probe, images, targets, maps, metrics=FAITH, steps=28, key=jax.random.key(0), chunk=64
    )
    values |= {
        "pointing_game": metrics.pointing_game(maps, boxes, tolerance=0),
        "energy_pointing_game": metrics.energy_pointing_game(maps, boxes),
    }
    return {name: TABLE[name].factor * float(np.mean(value)) for name, value in values.items()}


def table(rows: dict[str, dict[str, float]], count: int, digits: int):
    yield "# The demo's scenes"
    yield ""
    yield (
        f"`python benchmarks/scenes.py`: {digits} digits in {count} scenes that the network has not seen, each explained "
        "by the maps of its class. Pointing: the brightest pixel lies in the digit's box (no tolerance); energy: the "
        "share of the map inside. Drop, Increase in percent, the rest in points; passes: floating point operations over "
        "the network's own. The network tells which digits are present, so a digit's probability (softmax) is shared with "
        "the others in the scene. The figures of the four papers: [HiResCAM](hirescam.png), [Abs-CAM](abscam.png), "
        "[Cluster-CAM](clustercam.png), [Conceptor-CAM](conceptorcam.png)."
    )
    yield ""
    yield (
        "| method | pointing ↑ | energy ↑ | Drop ↓ | Increase ↑ | Ins ↑ | Del ↓ | Ins − Del ↑ | ROAD ↑ | brightness "
        "| passes |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, row in rows.items():
        names = (
            "pointing_game",
            "energy_pointing_game",
            "average_drop",
            "average_increase",
            "insertion",
            "deletion",
        )
        cells = [row[each] for each in names]
        cells += [row["insertion"] - row["deletion"], row["road"], row["complexity"]]
        passes = f"{row['passes']:.2f}" if "passes" in row else "–"
        yield f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + f" | {passes} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=64, help="scenes")
    parser.add_argument("--seed", type=int, default=3, help="of the scenes")
    parser.add_argument("--figures", action="store_true", help="draw the figures alone")
    options = parser.parse_args()
    test = scenes(options.count, seed=options.seed)
    probe, shown = jaxcam.probe(load(), LAYER), np.asarray(prepare(test.images))
    digits = test.labels.shape[1]
    images, targets = np.repeat(shown, digits, axis=0), test.labels.reshape(-1)
    boxes = test.boxes.reshape(-1, 4)
    forward = flops(lambda probe, image: probe(image)[0], probe, images[0])
    rows, maps = {}, {}
    for label, (name, given) in methods().items():
        made = np.asarray(jaxcam.explain(probe, shown, test.labels, method=name, **given))
        maps[name, str(given)] = made[DRAWN]
        if options.figures:
            continue
        one = functools.partial(METHODS[name], **given)
        cost = flops(lambda probe, image: one(probe, image, 0), probe, images[0]) / forward  # noqa: B023
        rows[label] = measured(probe, images, targets, boxes, made.reshape(-1, *made.shape[-2:]))
        rows[label]["passes"] = cost
        print(label, {key: round(value, 1) for key, value in rows[label].items()}, flush=True)
    for paper, columns in FIGURES.items():
        draw(
            RESULTS / f"{paper}.png",
            test.images[DRAWN[0]],
            test.labels[DRAWN],
            test.boxes[DRAWN],
            {title: maps[name, str(given)] for title, (name, given) in columns.items()},
            dict.fromkeys(columns, ""),
            [],
        )
    if options.figures:
        return
    for label, floor in metrics.floors(len(images), images.shape[1:3], key=jax.random.key(0)).items():
        rows[f"floor: {label}"] = measured(probe, images, targets, boxes, np.asarray(floor))
    (RESULTS / "scenes.md").write_text("\n".join(table(rows, options.count, len(targets))) + "\n")


if __name__ == "__main__":
    main()
