"""Stores of maps: their report, their status, and their arrays."""

from pathlib import Path

import numpy as np
from PIL import Image

from .mutations import Case, Kind, below, one_changed, short


def stores(folder: Path) -> dict[str, dict[str, bytes]]:
    import jax.numpy as jnp

    import jaxcam
    from jaxcam import datasets, models

    source = folder / "pictures"
    source.mkdir()
    for number in range(6):
        Image.new("RGB", (20, 16), (40 * number, 9, 99)).save(source / f"{number}.png")
    (source / "bad.png").write_bytes(b"bad")
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    probe = jaxcam.probe(
        lambda p, x: jnp.mean(jaxcam.tap(x[:, ::4, ::4] @ p, "a"), (1, 2)), "a", variables=weights
    )
    for name, options in {"one": {}, "two": {"targets": "top-2", "logits": True, "stored": "raw"}}.items():
        pre = models.preprocess("cifar_resnet20")
        datasets.run(source, probe, out=folder / f"{name}.zarr", preprocess=pre, batch=4, **options)
    return {
        name: {f"{name}.zarr/{key}": value for key, value in below(folder / f"{name}.zarr").items()}
        for name in ("one", "two")
    }


def store(rng: np.random.Generator, bases: dict) -> Case:
    base, what, files = one_changed(rng, bases, likely=lambda name: name.endswith("zarr.json"))
    return Case(f"{base} {what}", files, f"{base}.zarr")


def judge_store(path: Path) -> str:
    from jaxcam import datasets

    found = "read"
    for open_it in (
        lambda: datasets.report(path, path.parent / "report.html"),
        lambda: datasets.status(path),
        lambda: [opened[name] for opened in [datasets.open_store(path)] for name in opened.names],
    ):
        try:
            open_it()
        except (ValueError, OSError) as error:
            found = short(error)
    return found


KIND = Kind(stores, store, judge_store)
