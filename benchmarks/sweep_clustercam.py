"""Which Cluster-CAM? `JAXCAM_TEST_DATA=... python benchmarks/sweep_clustercam.py` (resumes where it stopped).

Every setting explains the same ImageNet pictures for the class that the model finds most likely; Insertion, Deletion
and Average Drop are those of `jaxcam.metrics`, in points. A row is one setting, model and picture, in a file that a
second run continues; `--table` prints the means. Score-CAM and Grad-CAM stand beside them. Merges that share their
clusters share the forward passes too.
"""

import argparse
import itertools
import json
import os
from collections import defaultdict
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import converters
import jaxcam
from jaxcam import _masks, metrics, models
from jaxcam._probe import widen
from jaxcam.methods import _clustercam

LAYERS = {"squeezenet1_1": "features", "mobilenet_v2": "features"}
BESIDE = {"gradcam": jaxcam.gradcam, "scorecam": jaxcam.scorecam}


def recipes(merges, scores, cuts):
    """Merge, score and λ of every setting."""
    for merge, score, cut in itertools.product(merges, scores, cuts):
        means_something = score == "softmax" or merge not in ("hard", "score-weighted", "soft")
        if means_something and (cut == 1 or merge.endswith("-cut")):
            yield merge, score, cut


def clustered(probe, image, target, key, *, clusters, normalise, chosen):
    """Raw maps of all recipes from one set of clusters: `(recipes, h, w)`."""
    output, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    scaled = _clustercam.NORMALISE[normalise](A)
    groups = _clustercam.group(scaled, clusters, _masks.varies(A), key=key, restarts=4, iterations=30)
    read = {name: _masks.reader(output, target, name) for name in _masks.SCORES}
    seen = {name: _masks.score_masks(probe, image, groups.masks, each) for name, each in read.items()}
    raw = []
    for merge, score, scissors in chosen:
        scores, valid = seen[_clustercam.SCORES[score]]
        raw.append(
            _clustercam.combine(
                A, groups, scores, valid, merge, score,
                scissors=scissors, temperature=0.1, fuse=jaxcam.channel_sum,
            )
        )  # fmt: skip
    return jnp.stack(raw)


def judge(probe, image, target, maps, steps):
    """A row of figures for each map `(H, W)` of one image."""
    batch = np.broadcast_to(image, (len(maps), *image.shape))
    given = (probe, batch, np.full(len(maps), target), maps)
    found = {
        "insertion": 100 * metrics.insertion(*given, steps=steps),
        "deletion": 100 * metrics.deletion(*given, steps=steps),
        "drop": metrics.average_drop(*given),
    }
    return [
        {name: round(float(values[row]), 4) for name, values in found.items()} for row in range(len(maps))
    ]


def load(name: str, data: Path, count: int, start: int):
    files = sorted((data / "images").iterdir())[start:]
    files = files[:: max(1, len(files) // count)][:count]
    preprocess = models.preprocess(name)
    model = converters.load(name, data / "weights" / f"{name}.pth")
    return jaxcam.probe(model, LAYERS[name]), {file.name[:4]: preprocess(Image.open(file)) for file in files}


def sweep(options, data: Path):
    done = {(row["model"], row["group"], row["picture"], row["steps"]) for row in rows(options.out)}
    chosen = tuple(recipes(options.merges, options.scores, options.cuts))
    forward = jax.jit(lambda p, x: p(x)[0])
    for name in options.models:
        probe, pictures = load(name, data, options.pictures, options.start)
        size = next(iter(pictures.values())).shape[:2]
        groups = {method: ([method], function) for method, function in BESIDE.items()}
        for m, normalise, seed in itertools.product(options.clusters, options.normalise, options.seeds):
            run = partial(clustered, key=jax.random.key(seed), clusters=m, normalise=normalise, chosen=chosen)
            names = [
                f"{normalise} {merge} {score} λ={cut:g} m={m} seed={seed}" for merge, score, cut in chosen
            ]
            groups[" ".join(names)] = (names, run)
        for group, (names, function) in groups.items():
            explain = jax.jit(function)
            for picture, image in pictures.items():
                if (name, group, picture, options.steps) in done:
                    continue
                target = int(np.argmax(forward(probe, image)))
                raw = explain(probe, image, target)
                raw = raw.reshape(len(names), *raw.shape[-2:])
                maps = np.asarray(jaxcam.display(raw, size=size))
                figures = judge(probe, image, target, maps, options.steps)
                with options.out.open("a") as file:
                    for setting, row in zip(names, figures, strict=True):
                        about = {"model": name, "group": group, "picture": picture, "steps": options.steps}
                        file.write(json.dumps(about | {"setting": setting} | row) + "\n")
            print(name, group, "done", flush=True)


def rows(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(path: Path, show: int):
    """Means over pictures; settings of both models, best smaller lead over Score-CAM first."""
    found = defaultdict(lambda: defaultdict(list))
    for row in rows(path):
        figures = (row["insertion"] - row["deletion"], row["drop"])
        found[row["setting"]][row["model"]].append(figures)
    means = {
        setting: {model: (*np.mean(values, axis=0), len(values)) for model, values in each.items()}
        for setting, each in found.items()
    }
    peer = means["scorecam"]
    lead = lambda s: min(means[s][m][0] - peer[m][0] if m in means[s] else -99.0 for m in peer)  # noqa: E731
    print("| setting | " + " | ".join(f"{m}: Ins − Del (drop; n)" for m in peer) + " | smaller lead |")
    print("|---|" + "---|" * len(peer) + "---:|")
    for setting in [*BESIDE, *sorted(means, key=lead, reverse=True)[:show]]:
        cells = (
            f"{means[setting][m][0]:.1f} ({means[setting][m][1]:.1f}; {means[setting][m][2]})"
            if m in means[setting]
            else "–"
            for m in peer
        )
        print(f"| {setting} | " + " | ".join(cells) + f" | {lead(setting):+.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--start", type=int, default=0, help="the first picture")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--clusters", type=int, nargs="+", default=[16])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--normalise", nargs="+", default=list(_clustercam.NORMALISE))
    parser.add_argument("--merges", nargs="+", default=list(_clustercam.MERGES))
    parser.add_argument("--scores", nargs="+", default=list(_clustercam.SCORES))
    parser.add_argument(
        "--cuts", type=float, nargs="+", default=[0.5, 1.0], help="λ of the scissors that cut"
    )
    parser.add_argument("--models", nargs="+", default=list(LAYERS))
    parser.add_argument("--table", type=int, metavar="ROWS", help="print the best so many settings and stop")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "sweep_clustercam.jsonl"
    )
    options = parser.parse_args()
    options.out.parent.mkdir(exist_ok=True)
    if options.table is None:
        sweep(options, Path(os.environ["JAXCAM_TEST_DATA"]))
    table(options.out, options.table or 30)


if __name__ == "__main__":
    main()
