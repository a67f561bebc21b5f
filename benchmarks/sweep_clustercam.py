"""Which Cluster-CAM? `python benchmarks/sweep_clustercam.py --data FOLDER`, after `channel_scores.py` (resumes where it stopped).

Every setting explains the same ImageNet pictures for the class that the model finds most likely; Insertion, Deletion
and Average Drop are those of `jaxcam.metrics`, in points. A row is one setting, model and picture, in a file that a
second run continues; `--table` prints the means. Score-CAM and Grad-CAM stand beside them. Merges that share their
clusters share the forward passes too.
"""

import argparse
import itertools
import zlib
from collections import defaultdict
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from channel_scores import kept
from evidence import evidence_by
from json_rows import append, rows
from pictures import NETWORKS, Pictures

import jaxcam
from jaxcam import _masks, metrics
from jaxcam._dtypes import widen
from jaxcam.devices import _chunks
from jaxcam.methods import _clustercam

BESIDE = ("scorecam", "scorecam probability", "gradcam")


def recipes(merges, scores, knees):
    """Merge, score and κ of every setting."""
    for merge, score in itertools.product(merges, scores):
        if merge == "members-cut":
            yield from ((merge, score, knee) for knee in knees)
        elif merge != "hard" or score == "softmax":
            yield merge, score, None


def named(recipe) -> str:
    """As the rows of the first sweep are named, whose scissors had a strength λ."""
    merge, score, knee = recipe
    tail = f" λ=1 κ={'–' if knee is None else f'{knee:g}'}" if merge == "members-cut" else ""
    return f"{merge} {score}{tail}"


def clustered(probe, image, target, key, *, clusters, normalise, chosen):
    """Raw maps of all recipes from one set of clusters and one forward pass for each: `(recipes, h, w)`."""
    _, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    scaled = _clustercam.NORMALISE[normalise](A)
    groups = _clustercam.group(scaled, clusters, _masks.varies(A), key=key, restarts=4, iterations=30)
    behind, valid = _masks.cover(image), _masks.varies(groups.masks)

    def read(mask):
        output = widen(probe(behind(mask))[0])
        return {"softmax": jax.nn.softmax(output)[target], "logit": output[target]}

    seen = _chunks.over_chunks(read, groups.masks, None, image.shape)
    raw = []
    for merge, score, knee in chosen:
        scores = jnp.where(valid, seen[_clustercam.SCORES[score]], 0)
        raw.append(
            _clustercam.combine(A, groups, scores, valid, merge, score, knee=knee, fuse=jaxcam.channel_sum)
        )
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


def peers(probe, image, target, scores):
    """Raw maps of what stands beside: `(3, h, w)`."""
    return jnp.stack(
        [jaxcam.channel_sum(evidence_by(label, probe, image, target, scores)) for label in BESIDE]
    )


def sweep(options):
    done = {(row["model"], row["group"], row["picture"]) for row in rows(options.out)}
    chosen = tuple(recipes(options.merges, options.scores, (None, *options.knees)))
    for name in options.models:
        pictures = Pictures(name, "imagenet", options.data)
        stored = kept(name, "imagenet")
        size = pictures.images.shape[1:3]
        groups = {"beside": (BESIDE, jax.jit(peers))}
        for m, normalise in itertools.product(options.clusters, options.normalise):
            explain = jax.jit(partial(clustered, clusters=m, normalise=normalise, chosen=chosen))
            for seed in options.seeds:
                names = [f"{normalise} {named(each)} m={m} seed={seed}" for each in chosen]
                group = f"{normalise} m={m} seed={seed} {zlib.crc32(' '.join(names).encode()):08x}"
                groups[group] = names, partial(explain, key=jax.random.key(seed))
        for group, (names, explain) in groups.items():
            for index in range(0, len(pictures.names), options.every):
                picture = pictures.names[index]
                if (name, group, picture) in done:
                    continue
                image, target = pictures.images[index], int(pictures.targets[index])
                given = (stored[picture],) if names is BESIDE else ()
                raw = explain(pictures.probe, image, target, *given)
                maps = np.asarray(jaxcam.display(raw, size=size))
                figures = judge(pictures.probe, image, target, maps, options.steps)
                about = {"model": name, "group": group, "picture": picture}
                append(options.out, about, names, figures)
            print(name, group, "done", flush=True)


def report(path: Path) -> str:
    """Settings of both models, the best smaller lead over Score-CAM first."""
    found = defaultdict(lambda: defaultdict(dict))
    for row in rows(path):
        figures = (row["insertion"] - row["deletion"], row["drop"])
        found[row["setting"]][row["model"]][row["picture"]] = np.array(figures)
    peer = found["scorecam"]
    lines = [
        "# Cluster-CAM: the sweep",
        "",
        f"`python benchmarks/{path.stem}.py`: each fifth or tenth of the 100 pictures. Insertion − Deletion less Score-CAM's on the "
        "same pictures, in points, ± the standard error, and Average Drop. λ is the scissors' strength, κ the knee, m the "
        "number of clusters. Differences between neighbours are within the noise; so is a change of the seed.",
        "",
        "Measured at commit ecff517, before version 0.1.0: of these options `jaxcam.clustercam` has kept the merges members-cut, "
        "weighted and hard, the scores contrast and softmax, and channels as they are (raw) or from 0 to 1 (minmax).",
        "",
        "| setting | pictures | " + " | ".join(f"{model}: Ins − Del | Drop" for model in peer) + " |",
        "|---|---:|" + "---:|---:|" * len(peer),
    ]
    ranked = []
    for setting, models in found.items():
        cells, leads = [], []
        for model, theirs in peer.items():
            both = [name for name in models.get(model, {}) if name in theirs]
            if not both:
                break
            mine = np.stack([models[model][name] for name in both])
            apart = mine[:, 0] - np.stack([theirs[name] for name in both])[:, 0]
            leads.append(apart.mean())
            cells += [
                f"{apart.mean():+.1f} ± {apart.std() / len(apart) ** 0.5:.1f}",
                f"{mine[:, 1].mean():.1f}",
            ]
        else:
            ranked.append((min(leads), f"| {setting} | {len(both)} | " + " | ".join(cells) + " |"))
    return "\n".join([*lines, *(line for _, line in sorted(ranked, reverse=True))]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of weights/, images/ and boxes/")
    parser.add_argument("--every", type=int, default=3, help="of the 100 pictures, each so manieth")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--clusters", type=int, nargs="+", default=[16])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--normalise", nargs="+", default=list(_clustercam.NORMALISE))
    parser.add_argument("--merges", nargs="+", default=list(_clustercam.MERGES))
    parser.add_argument("--scores", nargs="+", default=list(_clustercam.SCORES))
    parser.add_argument("--knees", type=float, nargs="*", default=[0.25], help="κ, beside none")
    parser.add_argument("--models", nargs="+", default=list(NETWORKS))
    parser.add_argument("--table", action="store_true", help="write the table of what there is, and stop")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "sweep_clustercam.jsonl"
    )
    options = parser.parse_args()
    options.out.parent.mkdir(exist_ok=True)
    if not options.table:
        if options.data is None:
            parser.error("--data names the folder of weights and pictures")
        sweep(options)
    options.out.with_suffix(".md").write_text(report(options.out))


if __name__ == "__main__":
    main()
