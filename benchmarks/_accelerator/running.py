"""`datasets.run` end to end: what of its time does the device work?"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from feed import synthetic

import jaxcam
from jaxcam import datasets, models

from .bench import Bench, Row

DIFFERENT = 128  # pictures; more are these again, under other names


def arrays(bench: Bench) -> Iterator[Row]:
    """From uint8 arrays in memory, of the network's size."""
    count = 16 if bench.small else 8192
    rng = np.random.default_rng(0)
    different = rng.integers(0, 256, (min(count, DIFFERENT), 224, 224, 3), np.uint8)
    yield from _run(bench, "uint8 arrays", Repeated(different, count), count)


def pictures(bench: Bench) -> Iterator[Row]:
    """From JPEG files of 500 x 375 pixels."""
    count = 16 if bench.small else 4096
    with tempfile.TemporaryDirectory() as folder:
        there = min(count, DIFFERENT)
        synthetic(Path(folder), there)
        for number in range(there, count):
            os.link(Path(folder, f"{number % there:04d}.jpg"), Path(folder, f"{number:06d}.jpg"))
        yield from _run(bench, "JPEG", folder, count)


class Repeated:
    """Pictures as a data set of any length."""

    def __init__(self, pictures: np.ndarray, count: int):
        self.pictures, self.count = pictures, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> np.ndarray:
        return self.pictures[i % len(self.pictures)]


def _run(bench: Bench, what: str, source, count: int) -> Iterator[Row]:
    model, batch = ("squeezenet1_1", 8) if bench.small else ("resnet50", 128)
    network = models.build(model, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        summary = datasets.run(
            source,
            jaxcam.probe(network, models.default_layer(model)),
            out=Path(folder, "maps.zarr"),
            preprocess=models.preprocess(model),
            batch=batch,
            stored="layer",
        )
    yield {
        "model": model,
        "dtype": "bfloat16",
        "batch": batch,
        "what": what,
        "pictures": count,
        "cores": os.cpu_count(),
        "images/s": summary.rate,
        "share of time the device works": summary.busy,
        "limit": summary.limit,
        "failed pictures": summary.failed,
    }
