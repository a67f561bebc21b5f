"""Which Conceptor-CAM? `python benchmarks/sweep_conceptorcam.py --data FOLDER` (resumes where it stopped).

Both ways to combine, at several apertures, over every base, explain the same ImageNet pictures for the class that the
model finds most likely, beside the base itself and a random map. A row is one model, base, setting and picture, in
a file that a second run continues. Average Drop and Increase cost a forward pass; Insertion and Deletion cost dozens,
so they are measured for the settings of `--curves` alone. `--table` prints the means and what they choose: a setting
whose drop is at least 47 % below the base's, whose increase is higher and whose Insertion - Deletion is at most a point
lower, over the most bases. The evidence of a base is computed once a picture.
"""

import argparse
from collections import defaultdict
from functools import partial
from pathlib import Path

import jax
import numpy as np
from channel_scores import kept
from evidence import BASES, SCORED, evidence_by
from json_rows import append, rows
from pictures import NETWORKS, Pictures

import jaxcam
from jaxcam import metrics
from jaxcam.methods._conceptorcam import COMBINE

APERTURES = (0.3, 1.0, 2.0, 3.0, 5.0)
CURVES = ("or 1", "or 2", "or 3", "or 5")


def settings(combine, apertures):
    """A fuse for each "combine aperture"."""
    return {
        f"{way} {aperture:g}": jaxcam.conceptor_fuse(combine=way, aperture=aperture)
        for way in combine
        for aperture in apertures
    }


def displayed(evidence, *, fuses, size):
    return {label: jaxcam.display(fuse(evidence), size=size) for label, fuse in fuses.items()}


def judge(probe, image, target, maps, curves, steps):
    """A row of figures for each map `(H, W)` of one image; insertion and deletion where `curves` says so."""
    given = lambda which: (  # noqa: E731
        probe,
        np.broadcast_to(image, (len(which), *image.shape)),
        np.full(len(which), target),
        maps[which],
    )
    every, some = np.arange(len(maps)), np.flatnonzero(curves)
    found = {
        "drop": (every, metrics.average_drop(*given(every))),
        "increase": (every, metrics.average_increase(*given(every))),
        "mean": (every, 100 * maps.mean(axis=(1, 2))),
    }
    if len(some):
        found["insertion"] = some, 100 * metrics.insertion(*given(some), steps=steps)
        found["deletion"] = some, 100 * metrics.deletion(*given(some), steps=steps)
    rows = [{} for _ in maps]
    for figure, (which, values) in found.items():
        for row, value in zip(which, np.asarray(values), strict=True):
            rows[row][figure] = round(float(value), 3)
    return rows


def sweep(options):
    done = {(row["model"], row["base"], row["picture"], row["setting"]) for row in rows(options.out)}
    fuses = settings(options.combine, options.apertures)
    labels = ["base", "random", *fuses]
    for name in options.models:
        pictures = Pictures(name, "imagenet", options.data)
        size = pictures.images.shape[1:3]
        random = np.asarray(metrics.random_maps(len(pictures.names), size, key=jax.random.key(0)))
        show = jax.jit(partial(displayed, fuses={"base": jaxcam.channel_sum, **fuses}, size=size))
        for base in options.bases:
            look = jax.jit(partial(evidence_by, base))
            stored = kept(name, "imagenet") if base in SCORED else {}
            for index in range(0, len(pictures.names), options.every):
                picture = pictures.names[index]
                missing = [label for label in labels if (name, base, picture, label) not in done]
                if not missing:
                    continue
                image, target = pictures.images[index], int(pictures.targets[index])
                shown = show(look(pictures.probe, image, target, stored.get(picture))) | {
                    "random": random[index]
                }
                maps = np.stack([np.asarray(shown[label]) for label in missing])
                curves = [label in ("base", "random", *options.curves) for label in missing]
                figures = judge(pictures.probe, image, target, maps, np.array(curves), options.steps)
                append(options.out, {"model": name, "base": base, "picture": picture}, missing, figures)
            print(name, base, "done", flush=True)


def means(path: Path):
    """Model, base, setting -> mean of each figure, and the number of pictures."""
    found = defaultdict(lambda: defaultdict(list))
    for row in rows(path):
        if "insertion" in row:
            row["ins - del"] = row["insertion"] - row["deletion"]
        for figure in ("drop", "increase", "mean", "ins - del"):
            if figure in row:
                found[row["model"], row["base"], row["setting"]][figure].append(row[figure])
    return {
        key: {f: float(np.mean(v)) for f, v in each.items()} | {"n": len(each["drop"])}
        for key, each in found.items()
    }


def holds(mine, base):
    """Which of the three demands a setting meets over its base."""
    return (
        mine["drop"] <= 0.53 * base["drop"],
        mine["increase"] > base["increase"],
        mine["ins - del"] >= base["ins - del"] - 1,
    )


def report(path: Path):
    found = means(path)
    lines = [
        "# Conceptor-CAM: the sweep",
        "",
        f"`python benchmarks/{Path(__file__).name} --table`",
        "",
        'Measured at commit 753ebf3, before version 0.1.0: of the ways to combine, `jaxcam.conceptorcam` has kept "or" and '
        '"and"; "free" means without the factor u / (u + α⁻²), which is always there now.',
        "",
    ]
    pairs = sorted({key[:2] for key in found}, key=lambda pair: (pair[0], list(BASES).index(pair[1])))
    labels = sorted({key[2] for key in found} - {"base", "random"})
    whole = [label for label in labels if all("ins - del" in found.get((*pair, label), {}) for pair in pairs)]
    lines += [
        "## What the numbers choose",
        "",
        "Over how many pairs of a model and a base each demand holds, and the mean change from the base. Drop lower:",
        "by at least 47 %. Increase higher. Insertion − Deletion: at most 1 point lower. All: the three together.",
        "",
        f"| setting | all of {len(pairs)} | drop | increase | ins − del | Δ drop % | Δ increase | Δ mean of map | Δ ins − del |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ranked = []
    for label in whole:
        each = [(found[(*pair, label)], found[(*pair, "base")]) for pair in pairs]
        kept = np.array([holds(mine, base) for mine, base in each])
        change = [
            np.mean([100 * (mine["drop"] / base["drop"] - 1) for mine, base in each]),
            *(np.mean([mine[f] - base[f] for mine, base in each]) for f in ("increase", "mean", "ins - del")),
        ]
        ranked.append((kept.all(axis=1).sum(), change[3], label, kept.sum(axis=0), change))
    for count, _, label, kept, change in sorted(ranked, reverse=True, key=lambda r: r[:2]):
        cells = [str(count), *map(str, kept), *(f"{c:+.1f}" for c in change)]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for pair in pairs:
        lines += [
            "",
            f"## {pair[0]}, {pair[1]}: {found[(*pair, 'base')]['n']} pictures",
            "",
            "| setting | Average Drop | Average Increase | mean of map | Insertion − Deletion |",
            "|---|---:|---:|---:|---:|",
        ]
        for label in ["base", *labels, "random"]:
            row = found.get((*pair, label))
            if row:
                cells = [
                    f"{row[f]:.1f}" if f in row else "–" for f in ("drop", "increase", "mean", "ins - del")
                ]
                lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    results = Path(__file__).parent / "results"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of weights/, images/ and boxes/")
    parser.add_argument("--every", type=int, default=3, help="of the 100 pictures, each so manieth")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--combine", nargs="+", default=list(COMBINE))
    parser.add_argument("--apertures", type=float, nargs="+", default=APERTURES)
    parser.add_argument("--curves", nargs="+", default=CURVES, help="settings with Insertion and Deletion")
    parser.add_argument("--bases", nargs="+", default=list(BASES))
    parser.add_argument("--models", nargs="+", default=list(NETWORKS))
    parser.add_argument("--table", action="store_true", help="write the table of what there is, and stop")
    parser.add_argument("--out", type=Path, default=results / "sweep_conceptorcam.jsonl")
    options = parser.parse_args()
    options.out.parent.mkdir(exist_ok=True)
    if not options.table:
        if options.data is None:
            parser.error("--data names the folder of weights and pictures")
        sweep(options)
    (options.out.with_suffix(".md")).write_text(report(options.out))


if __name__ == "__main__":
    main()
