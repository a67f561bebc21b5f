"""Peak memory of Score-CAM over that of the forward pass: `python benchmarks/memory.py`.

ResNet-50 with random weights at layer4: 2048 masks of 224 x 224 pixels, one image. Each row is the peak resident memory
of a process of its own that compiles and runs one thing. All masks at once would be 0.4 GB, and the images
behind them 1.2 GB, before a single convolution.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

import jaxcam
from jaxcam import models

RUNS = {
    "forward": None,
    "scorecam": {},
    "scorecam, chunk=4": {"chunk": 4},
    "scorecam, chunk=64": {"chunk": 64},
    "scorecam, top=256": {"top": 256},
}


def peak_here(name: str) -> None:
    probe = jaxcam.probe(models.build("resnet50"), "layer4")
    images = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    if RUNS[name] is None:
        run = jax.jit(lambda p, x: p(x[0])[0])
        call = lambda: run(probe, images)  # noqa: E731
    else:
        call = lambda: jaxcam.explain(probe, images, 0, method="scorecam", **RUNS[name])  # noqa: E731
    jax.block_until_ready(call())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak(name: str) -> float:
    command = [sys.executable, __file__, "--peak", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.md")
    options = parser.parse_args()
    if options.peak:
        return peak_here(options.peak)
    lines = [
        "# Peak memory of Score-CAM",
        "",
        "`python benchmarks/memory.py`: ResNet-50, layer4, one image of 224 x 224, 2048 masks, "
        f"jax {jax.__version__}, {jax.default_backend()}; peak resident memory of a process each.",
        "",
        "| run | peak (MB) | over the forward pass (MB) |",
        "|---|---:|---:|",
    ]
    forward = None
    for name in options.runs:
        found = peak(name)
        forward = found if forward is None else forward
        lines.append(f"| {name} | {found:.0f} | {found - forward:.0f} |")
        print(lines[-1], flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")
    return None


if __name__ == "__main__":
    main()
