"""k-means of 64 images at once beside scikit-learn's loop: `python benchmarks/kmeans.py`.

The same float32 points on both sides, on the same cores, in turn: ours, theirs, ours, theirs. Points have the shape of
a layer's channels, with channels of very different sizes around a few patterns. scikit-learn runs with all cores and
with one thread per fit; its better time counts. The inertia column is ours over theirs: the mean and the worst image.
"""

import argparse
import os
import platform
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

import jaxcam

SHAPES = ((512, 169, 16), (1280, 49, 16), (2048, 49, 16))


def points(images: int, channels: int, positions: int, *, patterns: int = 24, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shapes = rng.gamma(0.5, size=(images, patterns, positions))
    chosen = rng.integers(patterns, size=(images, channels))
    noise = rng.gamma(0.5, size=(images, channels, positions))
    size = rng.gamma(0.7, size=(images, channels, 1))
    return (size * (np.take_along_axis(shapes, chosen[..., None], 1) + 0.7 * noise)).astype(np.float32)


def ours(batch: np.ndarray, clusters: int, restarts: int):
    def one(pair):
        return jaxcam.kmeans(pair[0], clusters, key=pair[1], restarts=restarts).inertia

    run = jax.jit(partial(jax.lax.map, one))
    keys = jax.random.split(jax.random.key(0), len(batch))
    return lambda: np.asarray(run((batch, keys)))


def theirs(batch: np.ndarray, clusters: int, threads: int):
    def run():
        with threadpool_limits(threads):
            return np.array(
                [KMeans(clusters, n_init=10, random_state=0).fit(each).inertia_ for each in batch]
            )

    return run


def timed(call) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure(shape, images: int, rounds: int):
    channels, positions, clusters = shape
    batch = points(images, channels, positions)
    cores = len(os.sched_getaffinity(0))
    peers = {f"{n} threads": theirs(batch, clusters, n) for n in (1, cores)}
    calls = {restarts: ours(batch, clusters, restarts) for restarts in (10, 6)}
    for call in calls.values():
        call()  # compiles
    times, inertia = {}, {}
    for _ in range(rounds):
        for name, call in {**peers, **calls}.items():
            took, inertia[name] = timed(call)
            times.setdefault(name, []).append(took)
    middle = {name: float(np.median(values)) for name, values in times.items()}
    best = min(peers, key=middle.__getitem__)
    for restarts in calls:
        ratio = inertia[restarts] / inertia[best]
        yield (
            f"{images} × {channels} × {positions}",
            clusters,
            restarts,
            f"{middle[restarts]:.2f}",
            f"{middle[best]:.2f} ({best})",
            f"{middle[best] / middle[restarts]:.1f}",
            f"{ratio.mean():.4f} ({ratio.max():.4f})",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kmeans.md")
    options = parser.parse_args()
    lines = [
        "# k-means beside scikit-learn",
        "",
        f"`python benchmarks/kmeans.py`: medians of {options.rounds} rounds in turn, "
        f"{len(os.sched_getaffinity(0))} cores of {platform.machine()}, jax {jax.__version__}. scikit-learn fits one "
        "image after another with `n_init=10`; ours takes the batch in one call.",
        "",
        "| images × channels × positions | clusters | restarts | ours (s) | scikit-learn (s) | times | inertia |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for shape in SHAPES:
        for row in measure(shape, options.images, options.rounds):
            lines.append("| " + " | ".join(map(str, row)) + " |")
            print(lines[-1], flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
