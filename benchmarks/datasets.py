"""A whole data set beside its kernel alone, and whether memory stays flat: `python benchmarks/datasets.py`.

For each network, each in a process of its own:
- kernel: the compiled program alone, on one batch that is on the device already;
- arrays: `jaxcam.datasets.run` over pictures that are preprocessed already, so that decoding cannot be the limit;
- pictures: the same over JPEG files, the real ones repeated under new names.

Where the device is the CPU, reading, compressing and writing take their cores from it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import converters
import jaxcam
from jaxcam import datasets, models
from jaxcam.datasets.running._plan import Plan
from jaxcam.datasets.running._program import Program
from jaxcam.targets._several import Top

EARLY = 200  # records after which memory is measured for the first time
WAYS = ("kernel", "arrays", "pictures")


class Repeated:
    """Arrays as a data set of any length."""

    def __init__(self, arrays: np.ndarray, count: int):
        self.arrays, self.count = arrays, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return self.arrays[i % len(self.arrays)]


class Memory:
    """Peak resident memory in MB, after `EARLY` records and now; a listener of a run."""

    early = 0.0

    def __call__(self, event):
        if event["event"] == "batch" and not self.early and event["done"] + event["failed"] >= EARLY:
            self.early = self.now()

    def now(self) -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, network: str, options: argparse.Namespace) -> dict:
    model = converters.load(network, options.data / "weights" / f"{network}.pth")
    probe = jaxcam.probe(model, models.default_layer(network))
    preprocess = models.preprocess(network)
    files = sorted((options.data / "images").iterdir())
    if way == "kernel":
        return kernel(probe, preprocess, files, options)
    memory = Memory()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        if way == "arrays":
            arrays = np.stack([preprocess(Image.open(file)) for file in files[:32]])
            source = Repeated(arrays, options.records)
        else:
            source = repeat(files, options.records, Path(scratch, "pictures"))
        summary = datasets.run(
            source,
            probe,
            out=Path(scratch, "maps.zarr"),
            preprocess=preprocess,
            method=options.method,
            batch=options.batch,
            listeners=[memory],
        )
        half = [str(path) for path in Path(scratch, "maps.zarr").rglob("*.__lock")]
    found = {"rate": summary.rate, "busy": summary.busy, "limit": summary.limit, "half-written": len(half)}
    return found | {"failed": summary.failed, "early": memory.early, "late": memory.now()}


def kernel(probe, preprocess, files, options) -> dict:
    """The median rate of five rounds."""
    plan = Plan(
        targets=Top(1),
        stored="image",
        size=(preprocess.size, preprocess.size),
        maps_dtype="float16",
        logits=False,
    )
    request = plan.bind(probe, batch=options.batch, method=options.method, options={})
    program = Program(plan, request, jax.local_devices()[:1])
    images = np.stack([preprocess(Image.open(file)) for file in files[: options.batch]])
    labels = np.zeros(options.batch, np.int32)
    jax.block_until_ready(program(images, labels))
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(options.rounds):
            result = program(images, labels)
        jax.block_until_ready(result)
        rates.append(options.rounds * options.batch / (time.perf_counter() - began))
    return {"rate": float(np.median(rates))}


def repeat(files: list[Path], count: int, folder: Path) -> Path:
    """A folder of `count` pictures: the files under new names."""
    folder.mkdir()
    for number in range(count):
        file = files[number % len(files)]
        os.symlink(file.resolve(), folder / f"{number:06}{file.suffix}")
    return folder


def apart(way: str, network: str, arguments: list[str]) -> dict:
    command = [sys.executable, __file__, *arguments, "--one", way, network]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("JAXCAM_TEST_DATA", "data")))
    parser.add_argument("--networks", nargs="+", default=["squeezenet1_1", "mobilenet_v2"])
    parser.add_argument("--method", default="gradcam")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5, help="steps of the kernel in each of five rounds")
    parser.add_argument("--scratch", type=Path, help="folder for stores, deleted afterwards")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "datasets.md")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options)))
        return
    lines = [
        "# Whole data sets beside their kernel",
        "",
        f"`python benchmarks/datasets.py`: {options.method}, {options.records} records, batches of {options.batch}, "
        f"maps of 224 x 224 in float16; jax {jax.__version__}, {jax.default_backend()}, {os.cpu_count()} cores. "
        "Where the device is the CPU, reading and writing take their cores from it.",
        "",
        "| network | source | images/s | of the kernel | device busy | limit "
        f"| peak memory after {EARLY} (MB) | after all (MB) | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for network in options.networks:
        alone = apart("kernel", network, sys.argv[1:])["rate"]
        lines.append(f"| {network} | kernel alone | {alone:.1f} | | | | | | |")
        for way in WAYS[1:]:
            found = apart(way, network, sys.argv[1:])
            if found["half-written"] or found["failed"]:
                raise SystemExit(f"{network}, {way}: {found}")
            lines.append(
                f"| {network} | {way} | {found['rate']:.1f} | {found['rate'] / alone:.0%} | {found['busy']:.0%} "
                f"| {found['limit']} | {found['early']:.0f} | {found['late']:.0f} "
                f"| {found['late'] / found['early']:.3f} |"
            )
            print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
