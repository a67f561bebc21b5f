"""What a whole data set costs, and what saturates first: `python benchmarks/scale.py` (needs real weights and pictures).

A model of cost, its coefficients measured on this machine, and projected to two larger ones. Reads the folder that
JAXCAM_TEST_DATA names, and writes scale.md beside this file.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

import converters
import jaxcam
from jaxcam import datasets, models
from jaxcam.datasets.running._feed import feed
from jaxcam.probes._flops import flops

DATA = Path(os.environ["JAXCAM_TEST_DATA"])
PICTURES = 1_281_167  # ImageNet-1k's training pictures ...
PICTURE_BYTES = 110e3  # ... and their mean size, of 138 GiB in all
SIDE = 224
METHODS = ("gradcam", "clustercam", "scorecam")
NETWORK, LAYER = "resnet50", "layer4"


class Machine(NamedTuple):
    """A machine that runs are projected to.

    Attributes:
        peak: bfloat16 FLOP/s of a device, as its maker says.
        cores: of a host, all hardware threads.
        link: bytes/s from a host's memory to one of its devices.
        storage: bytes/s that a host reads, or writes, at its storage.
    """

    name: str
    hosts: int
    devices: int
    peak: float
    cores: int
    link: float
    storage: float


MACHINES = (
    Machine("v5e-256", hosts=64, devices=256, peak=197e12, cores=112, link=8e9, storage=2e9),
    Machine("8 × H200", hosts=1, devices=8, peak=989e12, cores=192, link=50e9, storage=5e9),
)
UTILISATION = 0.3  # share of the peak that a convolutional network reaches in inference, assumed
CORE = 1.0  # speed of a core over one here, assumed


class Costs(NamedTuple):
    """What one picture costs, measured.

    Attributes:
        decode: core-seconds to read, hash, decode, resize and normalise a JPEG of ImageNet's size.
        interpreter: of these, those that Python takes for itself, one at a time in a process.
        write: core-seconds to encode and write a record's rows.
        stored: bytes a record takes in the store, by what is stored.
        flops: of one picture, by method.
    """

    decode: float
    interpreter: float
    write: float
    stored: dict[str, float]
    flops: dict[str, float]


def core_seconds(call: Callable[[], object]) -> float:
    """CPU time of this process: what other programs do meanwhile does not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def decode_cost() -> float:
    prepare = models.preprocess(NETWORK)
    files = sorted((DATA / "images").glob("*.JPEG"))

    def all_of_them():
        for file in files:
            with Image.open(file) as picture:
                prepare(picture.convert("RGB"))

    all_of_them()
    return min(core_seconds(all_of_them) for _ in range(3)) / len(files)


def interpreter_cost(folder: Path) -> float:
    """Of pictures of 8 x 8, whose pixels cost next to nothing: what is left is Python's."""
    count = 2000
    (folder / "tiny").mkdir()
    for number in range(count):
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(folder / "tiny" / f"{number}.png")
    source, prepare = datasets.open(folder / "tiny"), models.Preprocess(resize=8, size=8)
    settings = {"batch": 32, "indices_of_batches": range(count // 32), "crop": True, "workers": 1, "ahead": 2}
    return core_seconds(lambda: [None for _ in feed(source, prepare, **settings)]) / count


def stored_bytes(folder: Path) -> tuple[dict[str, float], float]:
    """Bytes of a record by what is stored, and core-seconds to write one at the picture's size."""
    probe = jaxcam.probe(converters.load("squeezenet1_1", DATA / "weights" / "squeezenet1_1.pth"), "features")
    preprocess, sizes = models.preprocess("squeezenet1_1"), {}
    count = len(datasets.open(DATA / "images"))
    for stored in ("image", "layer"):
        out = folder / f"{stored}.zarr"
        datasets.run(DATA / "images", probe, out=out, preprocess=preprocess, stored=stored, batch=20)
        sizes[stored] = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / count
    maps = datasets.open_store(folder / "image.zarr").read("maps")
    return sizes, write_cost(folder, maps)


def write_cost(folder: Path, maps: np.ndarray) -> float:
    import tensorstore as ts

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(folder / "again")},
        "metadata": {
            "shape": maps.shape,
            "data_type": str(maps.dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (20, *maps.shape[1:])}},
            "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1}}],
        },
    }
    array = ts.open(spec, create=True).result()
    return core_seconds(lambda: array[...].write(maps).result()) / len(maps)


def method_flops() -> dict[str, float]:
    model = nnx.eval_shape(lambda: models.build(NETWORK))
    probe, image = jaxcam.probe(model, LAYER), jax.ShapeDtypeStruct((SIDE, SIDE, 3), jnp.float32)
    return {name: flops(lambda p, x, f=jaxcam.METHODS[name]: f(p, x, 0), probe, image) for name in METHODS}


def check() -> list[str]:
    """Time over operations here, which the model takes to be the same for every method of a network."""
    probe = jaxcam.probe(converters.load("squeezenet1_1", DATA / "weights" / "squeezenet1_1.pth"), "features")
    images = np.random.default_rng(0).normal(size=(4, SIDE, SIDE, 3)).astype(np.float32)
    lines = []
    for name in METHODS:
        batch = images if name == "gradcam" else images[:1]
        call = lambda: jax.block_until_ready(jaxcam.explain(probe, batch, 3, method=name, size=SIDE))  # noqa: B023, E731
        call()
        seconds = []
        for _ in range(5 if name != "scorecam" else 2):
            start = time.perf_counter()
            call()
            seconds.append((time.perf_counter() - start) / len(batch))
        count = flops(
            lambda p, x, f=jaxcam.METHODS[name]: f(p, x, 0),
            probe,
            jax.ShapeDtypeStruct((SIDE, SIDE, 3), jnp.float32),
        )
        spent = float(np.median(seconds))
        lines.append(f"| {name} | {count / 1e9:.1f} | {1e3 * spent:.0f} | {count / spent / 1e9:.0f} |")
    return lines


def rates(machine: Machine, costs: Costs, method: str, stored: str) -> dict[str, float]:
    """Pictures a second that each part of a machine sustains by itself."""
    cores = machine.hosts * machine.cores * CORE
    write = costs.write if stored == "image" else 0
    return {
        "device": machine.devices * machine.peak * UTILISATION / costs.flops[method],
        "decoding": cores / (costs.decode + write),
        "interpreter": machine.hosts / costs.interpreter,
        "host to device": machine.devices * machine.link / (4 * 3 * SIDE**2),
        "reading": machine.hosts * machine.storage / PICTURE_BYTES,
        "writing": machine.hosts * machine.storage / costs.stored[stored],
    }


def page(costs: Costs, checked: list[str]) -> str:
    lines = [
        "# A whole data set, on paper",
        "",
        f"`python benchmarks/scale.py`, jax {jax.__version__}, {os.cpu_count()} cores, {jax.default_backend()}. Coefficients "
        "are measured here; machines are taken by their makers' figures; what is assumed says so.",
        "",
        "## The model",
        "",
        "All parts of a run work at once, so pictures a second are the least of what each sustains by itself:",
        "",
        "    device          devices × peak × utilisation / FLOPs of a picture",
        "    decoding        hosts × cores / (core-seconds to decode + to encode what is written)",
        "    interpreter     processes / core-seconds of Python for a picture",
        "    host to device  devices × link / (4 · 3 · side²) bytes",
        "    reading         hosts × storage / bytes of a picture's file",
        "    writing         hosts × storage / bytes of a record in the store",
        "",
        "and seconds = start + pictures / that rate; the start (imports, weights, compiling, opening the data set) is left out "
        "below and is a minute or two. Files in the store: arrays × pictures / batch, so a batch of 256 for millions. FLOPs of a picture, F being those of a forward pass and K the layer's channels: "
        "Grad-CAM F, Cluster-CAM (1 + clusters) F, Score-CAM (1 + K) F. Nothing is exchanged between devices or hosts, so "
        "every term grows with their number; memory does not grow with pictures.",
        "",
        "## Measured here",
        "",
        "| what | a picture |",
        "|---|---:|",
        f"| read, decode, resize, normalise (real JPEGs of about 500 × 375) | {1e3 * costs.decode:.1f} core-ms |",
        f"| of that, Python's own, one at a time in a process | {1e3 * costs.interpreter:.2f} core-ms |",
        f"| encode and write a 224 × 224 float16 map (zstd) | {1e3 * costs.write:.2f} core-ms |",
        f"| bytes in the store, map at the picture's size | {costs.stored['image'] / 1e3:.1f} kB |",
        f"| bytes in the store, map at the layer's size | {costs.stored['layer'] / 1e3:.2f} kB |",
        *(f"| {name}, {NETWORK} `{LAYER}` | {costs.flops[name] / 1e9:,.0f} GFLOP |" for name in METHODS),
        "",
        "Does time go with operations? SqueezeNet 1.1 on this CPU:",
        "",
        "| method | GFLOP | ms | GFLOP/s |",
        "|---|---:|---:|---:|",
        *checked,
        "",
        f"## ImageNet-1k's {PICTURES:,} training pictures, {NETWORK}, bfloat16",
        "",
        f"Assumed: {UTILISATION:.0%} of the peak, threads as fast as the cores here, one process a host, pictures of {PICTURE_BYTES / 1e3:.0f} kB. "
        "v5e-256: 64 hosts of 4 chips (197 TFLOP/s) and 112 threads, 2 GB/s of storage a host. 8 × H200: one host, 989 TFLOP/s "
        "a GPU without sparsity, 192 threads, 5 GB/s.",
        "",
        "| machine | method | stored | device | decoding | interpreter | host to device | reading | writing | saturates first | takes |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for machine in MACHINES:
        for method in METHODS:
            for stored in ("image", "layer"):
                each = rates(machine, costs, method, stored)
                first = min(each, key=each.__getitem__)
                cells = [f"{rate:,.0f}" for rate in each.values()]
                lines.append(
                    f"| {machine.name} | {method} | {stored} | {' | '.join(cells)} | {first} | "
                    f"{duration(PICTURES / each[first])} |"
                )
    stored = {name: PICTURES * size / 1e9 for name, size in costs.stored.items()}
    lines += [
        "",
        f"Pictures a second by part. The store takes {stored['image']:,.0f} GB with maps at the pictures' size, and "
        f"{stored['layer']:,.1f} GB at the layer's.",
        "",
        *reading(costs),
    ]
    return "\n".join(lines) + "\n"


def reading(costs: Costs) -> list[str]:
    """What the table says, in words that follow from it."""
    found = []
    for machine in MACHINES:
        firsts = {}
        for method in METHODS:
            each = rates(machine, costs, method, "image")
            firsts.setdefault(min(each, key=each.__getitem__), []).append(method)
        said = "; ".join(f"{part} for {', '.join(names)}" for part, names in firsts.items())
        grad = rates(machine, costs, "gradcam", "image")
        found.append(
            f"- {machine.name}: what saturates first is {said}. For Grad-CAM the devices could take "
            f"{grad['device'] / grad['decoding']:.1f} times what the cores decode, and "
            f"{grad['device'] / grad['interpreter']:.0f} times what one Python a host hands over."
        )
    found.append(
        "- So for methods of one pass: a process for each device (`--processes`), maps at the layer's size, and, for a data "
        "set that is explained more than once, pictures decoded into an array of uint8 beforehand. For Score-CAM nothing but "
        "devices matters; Cluster-CAM takes a seventieth of them."
    )
    return found


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def main():
    with tempfile.TemporaryDirectory() as folder:
        stored, write = stored_bytes(Path(folder))
        interpreter = interpreter_cost(Path(folder))
    costs = Costs(decode_cost(), interpreter, write, stored, method_flops())
    text = page(costs, check())
    Path(__file__).with_name("scale.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
