"""The papers' claims, measured: `channel_scores.py`, `papers.py --data FOLDER`, the same `--costs`, then `--report`.

Faithfulness: the 100 ImageNet pictures, centre crop, each network's own most likely class. Localisation: the pictures
with boxes, squeezed whole into the square, the labelled class. One row a picture, network and method goes to
results/papers.csv as soon as a method is done; a second run goes on where the first stopped. `--costs` measures, on a
machine that does nothing else, the time (one picture, after compiling, median of three) and the forward passes (by
floating point operations) of each method, for results/papers_costs.csv. Score-CAM and the second phase of Abs-CAM are made from the scores that `channel_scores.py` kept; that these
maps are those of `jaxcam.scorecam` and `jaxcam.abscam` is checked on the picture that is timed.
"""

import argparse
import csv
import functools
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from channel_scores import kept, key_of
from evidence import BASES, SCORED, VARIANTS, evidence_by
from papers_report import AGAIN, FAITH, POINT, report
from pictures import NETWORKS, Pictures

import jaxcam
from jaxcam import METHODS, metrics
from jaxcam.methods._conceptorcam import conceptor_fuse
from jaxcam.probes._flops import flops

ROWS = Path(__file__).parent / "results" / "papers.csv"
PRICES = ROWS.with_name("papers_costs.csv")
HARD = {"merge": "hard", "normalise": "raw", "score": "softmax", "clusters": 10}
PLAIN = {
    "eigencam": ("eigencam", {}),
    "eigengradcam": ("eigengradcam", {}),
    "gradcam_elementwise": ("gradcam_elementwise", {}),
    "ablationcam": ("ablationcam", {}),
    "abscam single": ("abscam", {"merge": "single"}),
    "clustercam": ("clustercam", {}),
    "clustercam hard": ("clustercam", HARD),
}
LABELS = (*BASES, *VARIANTS, *PLAIN)
COLUMNS = ("network", "set", "method", "picture", *FAITH, *AGAIN, *POINT)
COSTS = ("network", "method", "forwards", "ms")
BATCH = 10
FEW = 10  # ROAD, coherency and ADCC of each tenth picture


@functools.cache
def explainer(label: str) -> Callable:
    """Jitted `(probe, image, target, scores) -> {label: displayed map}`; a base brings its conceptor map, and a control:
    the base map raised to the power that makes it as bright as the conceptor map."""
    name, options = (BASES | VARIANTS | PLAIN)[label]

    def explain(probe, image, target, scores):
        size = image.shape[:2]
        show = functools.partial(jaxcam.display, size=size)
        if label in PLAIN:
            return {label: show(METHODS[name](probe, image, target, **options))}
        evidence = evidence_by(label, probe, image, target, scores)
        plain = show(jaxcam.channel_sum(evidence))
        if label not in BASES:
            return {label: plain}
        conceptor = show(conceptor_fuse()(evidence))
        bright = {f"{label}, as bright": brightened(plain, jnp.mean(conceptor))}
        return {label: plain, f"conceptorcam over {label}": conceptor} | bright

    return jax.jit(explain)


def brightened(shown, mean):
    """`shown ** power` of the given mean (bisection; the power is at least 1/64)."""

    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        dark = jnp.mean(shown ** (2.0**-middle)) < mean
        return jnp.where(dark, middle, ends[0]), jnp.where(dark, ends[1], middle)

    low, _ = jax.lax.fori_loop(0, 20, halve, (jnp.float32(-2), jnp.float32(6)))
    return shown ** (2.0**-low)


def maps_of(label: str, pictures: Pictures) -> dict[str, np.ndarray]:
    """Displayed maps `(N, H, W)` by label."""
    stored = kept(pictures.network, pictures.kind) if label in SCORED else {}
    explain, found = explainer(label), []
    for number, name in enumerate(pictures.names):
        scores = stored[key_of(name)] if label in SCORED else None
        found.append(explain(pictures.probe, pictures.images[number], int(pictures.targets[number]), scores))
    return {key: np.stack([np.asarray(each[key]) for each in found]) for key in found[0]}


def cost(label: str, pictures: Pictures) -> tuple[float, float]:
    """(forward passes, milliseconds) of the method's own map of one picture."""
    name, options = (BASES | VARIANTS | PLAIN)[label]
    probe, image, target = pictures.probe, pictures.images[0], int(pictures.targets[0])

    def explain(probe, image):
        return METHODS[name](probe, image, target, **options)

    passes = flops(explain, probe, image) / flops(lambda p, x: p(x)[0], probe, image)
    run = jax.jit(explain)
    result = run(probe, image).block_until_ready()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        run(probe, image).block_until_ready()
        times.append(1e3 * (time.perf_counter() - began))
    if label in SCORED:
        scores = kept(pictures.network, pictures.kind)[key_of(pictures.names[0])]
        shown = explainer(label)(probe, image, target, scores)[label]
        np.testing.assert_allclose(shown, jaxcam.display(result, size=image.shape[:2]), atol=1e-4)
    return passes, float(np.median(times))


def measure(data: Path, steps: int, only: set[str]) -> None:
    done = set()
    if ROWS.exists():
        with ROWS.open(newline="") as file:
            done = {(row["network"], row["set"], row["method"]) for row in csv.DictReader(file)}
    else:
        ROWS.parent.mkdir(exist_ok=True)
        ROWS.write_text(",".join(COLUMNS) + "\n")
    load = functools.cache(functools.partial(Pictures, data=data))
    for label in ("floors", *LABELS):
        for network in NETWORKS:
            for kind in ("imagenet", "boxes"):
                if (network, kind, {"floors": "random"}.get(label, label)) in done or (
                    only and label not in only
                ):
                    continue
                pictures = load(network, kind)
                if label == "floors":
                    shape = len(pictures.names), pictures.images.shape[1:3]
                    made = metrics.floors(*shape, key=jax.random.key(0))
                else:
                    made = maps_of(label, pictures)
                rows = []
                for each, maps in made.items():
                    values = score(pictures, label, each, np.asarray(maps), steps)
                    rows += rows_of(pictures, each, values)
                    means = "  ".join(f"{key} {np.nanmean(value):.3f}" for key, value in values.items())
                    print(f"{network} {kind} {each}: {means}", flush=True)
                with ROWS.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS).writerows(rows)


def score(pictures: Pictures, label: str, each: str, maps, steps) -> dict[str, np.ndarray]:
    if pictures.kind == "boxes":
        return {
            "pointing_game": np.asarray(metrics.pointing_game(maps, pictures.boxes)),
            "energy_pointing_game": np.asarray(metrics.energy_pointing_game(maps, pictures.boxes)),
        }
    everything, few = np.arange(len(maps)), np.arange(0, len(maps), FEW)
    values = evaluated(pictures, maps, everything, metrics=FAITH, steps=steps)
    if not each.endswith("as bright"):
        values |= evaluated(pictures, maps, few, metrics=("road",), key=jax.random.key(0))
    again = explained_again(label, each)
    if again is not None:
        values |= evaluated(pictures, maps, few, metrics=("coherency", "adcc"), **again)
    return values


def evaluated(pictures: Pictures, maps, which, **options) -> dict[str, np.ndarray]:
    """Values of all pictures, NaN where they were not asked for."""
    found = {name: np.full(len(maps), np.nan) for name in options["metrics"]}
    for part in np.array_split(which, max(1, len(which) // BATCH)):
        given = pictures.probe, pictures.images[part], pictures.targets[part], maps[part]
        for name, values in metrics.evaluate(*given, **options).items():
            found[name][part] = values
    return found


def explained_again(label: str, each: str) -> dict | None:
    """What coherency needs to explain a picture anew; None where that takes hundreds of passes, or there is no method."""
    if label in SCORED or each not in (label, f"conceptorcam over {label}"):
        return None
    name, options = (BASES | PLAIN)[label]
    if each == label:
        return {"method": METHODS[name], "options": options}
    return {"method": jaxcam.conceptorcam, "options": {"base": functools.partial(METHODS[name], **options)}}


def rows_of(pictures: Pictures, label, values) -> list[dict]:
    about = {"network": pictures.network, "set": pictures.kind, "method": label}
    return [
        about
        | {"picture": name}
        | {key: f"{value[number]:.6g}" for key, value in values.items() if np.isfinite(value[number])}
        for number, name in enumerate(pictures.names)
    ]


def price(data: Path) -> None:
    rows = []
    for network in NETWORKS:
        pictures = Pictures(network, "imagenet", data)
        for label in LABELS:
            passes, ms = cost(label, pictures)
            rows.append({"network": network, "method": label, "forwards": f"{passes:.3f}", "ms": f"{ms:.1f}"})
            print(rows[-1], flush=True)
    with PRICES.open("w", newline="") as file:
        writer = csv.DictWriter(file, COSTS)
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of weights/, images/ and boxes/")
    parser.add_argument("--steps", type=int, default=20, help="of insertion and deletion")
    parser.add_argument("--only", nargs="*", default=[], help="these methods alone")
    parser.add_argument("--costs", action="store_true", help="measure time and forward passes")
    parser.add_argument("--report", action="store_true", help="write papers.md from the rows")
    options = parser.parse_args()
    if options.report:
        report(ROWS, PRICES)
    elif options.data is None:
        parser.error("--data names the folder of weights, pictures and boxes")
    elif options.costs:
        price(options.data)
    else:
        unknown = set(options.only) - {"floors", *LABELS}
        if unknown:
            parser.error(f"no method {sorted(unknown)}; there are floors, {', '.join(LABELS)}")
        measure(options.data, options.steps, set(options.only))


if __name__ == "__main__":
    main()
