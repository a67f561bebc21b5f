"""k-means beside scikit-learn; ROAD, insertion and deletion of a batch."""

import os
import time
from collections.abc import Iterator

import jax
import numpy as np
from kmeans import points, theirs

import jaxcam
from jaxcam import metrics as measures

from .bench import Bench, Row

CLUSTERS = 16


def kmeans(bench: Bench) -> Iterator[Row]:
    """k-means of the channels of many pictures: all at once, one after the other, and scikit-learn's loop."""
    images, shapes = (4, ((128, 49),)) if bench.small else (64, ((2048, 49), (512, 169)))
    for channels, positions in shapes:
        bench.check_time(f"{channels} x {positions}")
        batch = points(images, channels, positions)
        keys = jax.random.split(jax.random.key(0), images)
        one = lambda x, key: jaxcam.kmeans(x, CLUSTERS, key=key, restarts=10).inertia  # noqa: E731
        given = jax.device_put((batch, keys))
        ways = {
            "all at once": bench.compile(jax.vmap(one), *given),
            "one after the other": bench.compile(
                lambda x, k, one=one: jax.lax.map(lambda a: one(*a), (x, k)), *given
            ),
        }
        times = bench.times({way: program.call for way, program in ways.items()}, rounds=3)
        peers, inertia = {}, np.ones(images)
        for threads in {1, os.cpu_count() or 1}:
            began = time.perf_counter()
            inertia = theirs(batch, CLUSTERS, threads)()
            peers[threads] = time.perf_counter() - began
        best = min(peers, key=peers.__getitem__)
        for way, program in ways.items():
            seconds = float(np.median(times[way]))
            yield {
                "what": way,
                "images": images,
                "points": f"{channels} x {positions}",
                "clusters": CLUSTERS,
                "ms": round(1e3 * seconds, 2),
                "scikit-learn (ms)": round(1e3 * peers[best], 1),
                "scikit-learn's threads": best,
                "times faster": round(peers[best] / seconds, 1),
                "inertia over theirs": round(float(np.mean(np.asarray(program.call()) / inertia)), 4),
                "compile (s)": program.row["compile (s)"],
            }


def metrics(bench: Bench) -> Iterator[Row]:
    """Metrics as a caller has them: from arrays of the device to values, checks included."""
    probe, name, size = bench.probe("resnet50")
    batch, steps = (2, 16) if bench.small else (32, 224)
    images = bench.images(batch, size)
    maps = jax.random.uniform(jax.random.key(1), (batch, size, size))
    key = jax.random.key(2)
    calls = {
        ("road", 1): lambda: measures.road(probe, images[:1], [3], maps[:1], key=key),
        ("road", batch): lambda: measures.road(probe, images, 3, maps, key=key),
        ("insertion", batch): lambda: measures.insertion(probe, images, 3, maps, steps=steps),
        ("deletion", batch): lambda: measures.deletion(probe, images, 3, maps, steps=steps),
    }
    for (what, count), call in calls.items():
        bench.check_time(what)
        began = time.perf_counter()
        jax.block_until_ready(call())
        first = time.perf_counter() - began
        seconds = float(np.median(bench.times({what: call}, rounds=3)[what]))
        yield {
            "model": name,
            "arithmetic": bench.arithmetic(np.float32),
            "what": what,
            "batch": count,
            "steps": steps if what != "road" else 9,
            "ms": round(1e3 * seconds, 2),
            "ms a picture": round(1e3 * seconds / count, 2),
            "compile (s)": round(first - seconds, 2),
        }
