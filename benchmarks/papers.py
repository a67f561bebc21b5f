"""The papers' claims, measured: `python benchmarks/papers.py --data FOLDER`, then `--report`.

Faithfulness: the 100 ImageNet pictures, centre crop, each network's own most likely class. Localisation: the pictures
with boxes, squeezed whole into the square, the labelled class. One row a picture, network and method goes to
results/papers.csv as soon as a method is done; a second run goes on where the first stopped.
"""

import argparse
import csv
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import converters
import jaxcam
from jaxcam import metrics, models
from jaxcam.methods._conceptorcam import conceptor_fuse

ROWS = Path(__file__).parent / "results" / "papers.csv"
NETWORKS = {"squeezenet1_1": "features", "mobilenet_v2": "features"}
PLAIN = ("eigencam", "eigengradcam", "gradcam_elementwise", "ablationcam", "clustercam", "clustercam hard")
BASES = ("gradcam", "gradcampp", "layercam", "xgradcam", "hirescam", "abscam phase 1", "scorecam", "abscam")
OPTIONS = {
    "abscam phase 1": ("abscam", {"phase": 1}),
    "clustercam hard": (
        "clustercam",
        {"merge": "hard", "normalise": "raw", "score": "softmax", "clusters": 10},
    ),
}
FAITH = ("average_drop", "average_increase", "insertion", "deletion", "complexity")
POINT = ("pointing_game", "energy_pointing_game")
COLUMNS = ("network", "set", "method", "picture", *FAITH, *POINT, "ms")
BATCH = 10


def evidence_of_channels(evidence):
    return evidence


@functools.partial(jax.jit, static_argnums=(1, 2))
def fused(evidence, fuse, size):
    return jaxcam.display(jax.vmap(fuse)(evidence), size=size)


def maps_of(name: str, probe, images, targets) -> Iterator[tuple[str, np.ndarray, float]]:
    """(label, displayed maps, milliseconds an image) of one method; a base also gives its conceptor map."""
    method, options = OPTIONS.get(name, (name, {}))
    base = name in BASES
    if base:
        options = options | {"fuse": evidence_of_channels, "raw": True}
    results, seconds = [], []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        began = time.perf_counter()
        batch = jaxcam.explain(probe, images[part], targets[part], method=method, **options)
        results.append(np.asarray(batch))
        seconds.append((time.perf_counter() - began) / len(results[-1]))
    ms = 1e3 * float(np.median(seconds))
    size = images.shape[1:3]
    if not base:
        yield name, np.concatenate(results), ms
        return
    for label, fuse in ((name, jaxcam.channel_sum), (f"conceptorcam over {name}", conceptor_fuse())):
        yield label, np.concatenate([np.asarray(fused(each, fuse, size)) for each in results]), ms


def floors(images) -> Iterator[tuple[str, np.ndarray, float]]:
    for label, maps in metrics.floors(len(images), images.shape[1:3], key=jax.random.key(0)).items():
        yield label, np.asarray(maps), 0.0


def faithful(data: Path, preprocess):
    """The ImageNet pictures: names, images, no targets yet, no boxes."""
    files = sorted((data / "images").iterdir())
    return (
        [each.name for each in files],
        np.stack([preprocess(Image.open(each)) for each in files]),
        None,
        None,
    )


def boxed(data: Path, preprocess):
    """The pictures with boxes: names, images, labelled classes, boxes in pixels of the image."""
    names, images, targets, boxes = [], [], [], []
    for folder in ("kangaroo", "ilsvrc_val"):
        for row in json.loads((data / "boxes" / folder / "boxes.json").read_text()):
            try:
                picture = Image.open(data / "boxes" / folder / row["file"])
                images.append(preprocess(picture, crop=False))
            except OSError:
                continue  # one file is truncated
            height, width = images[-1].shape[:2]
            scale = np.array([width / row["width"], height / row["height"]] * 2)
            names.append(f"{folder}/{Path(row['file']).name}")
            targets.append(row["imagenet"][0])
            boxes.append((np.array(row["boxes"], float) * scale).tolist())
    return names, np.stack(images), np.array(targets), boxes


def measure(data: Path, steps: int, only: set[str]) -> None:
    done = set()
    if ROWS.exists():
        with ROWS.open(newline="") as file:
            done = {(row["network"], row["set"], row["method"]) for row in csv.DictReader(file)}
    else:
        ROWS.parent.mkdir(exist_ok=True)
        ROWS.write_text(",".join(COLUMNS) + "\n")
    for name in (*BASES[:-2], *PLAIN, *BASES[-2:]):  # the slow ones last
        for network, layer in NETWORKS.items():
            if only and name not in only:
                continue
            probe, preprocess = prepared(network, layer, data)
            for kind, load in (("imagenet", faithful), ("boxes", boxed)):
                if (network, kind, name) in done:
                    continue
                names, images, targets, boxes = loaded(network, kind, load, data, preprocess)
                if targets is None:
                    targets = most_likely(probe, images)
                makers = [maps_of(name, probe, images, targets)]
                if name == BASES[0]:
                    makers.append(floors(images))
                for maker in makers:
                    for label, maps, ms in maker:
                        values = score(kind, probe, images, targets, maps, boxes, steps)
                        write(network, kind, label, names, values, ms)
                        means = "  ".join(f"{key} {np.mean(each):.3f}" for key, each in values.items())
                        print(f"{network} {kind} {label}: {means}  {ms:.0f} ms", flush=True)


@functools.cache
def prepared(network, layer, data):
    model = converters.load(network, data / "weights" / f"{network}.pth")
    return jaxcam.probe(model, layer), models.preprocess(network)


@functools.cache
def loaded(network, kind, load, data, preprocess):
    return load(data, preprocess)


def most_likely(probe, images):
    output = jax.jit(jax.vmap(lambda p, x: p(x)[0], in_axes=(None, 0)))(probe, images)
    return np.argmax(np.asarray(output), axis=-1)


def score(kind, probe, images, targets, maps, boxes, steps):
    if kind == "boxes":
        return {
            "pointing_game": np.asarray(metrics.pointing_game(maps, boxes)),
            "energy_pointing_game": np.asarray(metrics.energy_pointing_game(maps, boxes)),
        }
    parts = []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        values = metrics.evaluate(probe, images[part], targets[part], maps[part], metrics=FAITH, steps=steps)
        parts.append({key: np.asarray(value) for key, value in values.items()})
    return {key: np.concatenate([part[key] for part in parts]) for key in FAITH}


def write(network, kind, label, names, values, ms):
    with ROWS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writerows(
            {
                "network": network,
                "set": kind,
                "method": label,
                "picture": name,
                "ms": f"{ms:.1f}",
                **{key: f"{float(value[number]):.6g}" for key, value in values.items()},
            }
            for number, name in enumerate(names)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of weights/, images/ and boxes/")
    parser.add_argument("--steps", type=int, default=28, help="of insertion and deletion")
    parser.add_argument("--only", nargs="*", default=[], help="these methods alone")
    parser.add_argument("--report", action="store_true", help="write papers.md from the rows")
    options = parser.parse_args()
    if options.report:
        from papers_report import report

        report(ROWS)
    elif options.data is None:
        parser.error("--data names the folder of weights, pictures and boxes")
    else:
        measure(options.data, options.steps, set(options.only))


if __name__ == "__main__":
    main()
