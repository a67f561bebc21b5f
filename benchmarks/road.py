"""ROAD beside pytorch-grad-cam: `python benchmarks/road.py DATA` (needs the parity extra).

DATA holds weights/squeezenet1_1.pth and images/. The same weights, pictures, Layer-CAM maps, targets and percentiles on
both sides: 8 pictures of 224 x 224, nine percentiles, both directions. The peer solves a sparse system on the host for
each picture, percentile and direction, so it is timed on the first of the pictures and scaled to all of them.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
PICTURES = 8


def sides(data: Path):
    """Our probe and pictures, and the torch model with the same weights."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from _torchvision import load
    from PIL import Image

    torchvision = load()
    import torch

    import converters
    import jaxcam
    from jaxcam import models

    path = data / "weights" / "squeezenet1_1.pth"
    peer = torchvision.models.squeezenet1_1(weights=None).eval()
    peer.load_state_dict(torch.load(path, weights_only=True))
    probe = jaxcam.probe(converters.load("squeezenet1_1", path), "features")
    files = sorted((data / "images").iterdir())[:: 100 // PICTURES][:PICTURES]
    prepare = models.preprocess("squeezenet1_1")
    images = np.stack([prepare(Image.open(file)) for file in files])
    return probe, images, peer


def peers(peer, images, targets, maps):
    import torch
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    start = time.perf_counter()
    values = ROADCombined()(batch, maps, [ClassifierOutputSoftmaxTarget(int(c)) for c in targets], peer)
    return values, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-pictures", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "road.md")
    options = parser.parse_args()

    import jax
    import torch

    import jaxcam
    from jaxcam import metrics

    probe, images, peer = sides(options.data)
    maps, outputs = jaxcam.explain(probe, images, method="layercam", with_output=True)
    maps, targets = np.asarray(maps), np.asarray(outputs).argmax(axis=1)

    def ours(seed=0):
        start = time.perf_counter()
        values = np.asarray(metrics.road(probe, images, targets, maps, key=jax.random.key(seed)))
        return values, time.perf_counter() - start

    first = ours()[1]
    few = slice(options.peers_pictures)
    values, times = zip(*(ours(seed) for seed in range(options.rounds)), strict=True)
    theirs, seconds = peers(peer, images[few], targets[few], maps[few])
    again = [
        ours(seed)[1] for seed in range(options.rounds)
    ]  # before and after the peer: the machine's load drifts
    mine = float(np.median([*times, *again]))
    scaled = seconds * PICTURES / options.peers_pictures
    apart = np.abs(np.mean(values, axis=0)[few] - theirs).max()
    spread = np.std(values, axis=0, ddof=1).max()
    lines = [
        f"# ROAD of {PICTURES} pictures, squeezenet1_1, 224 x 224, percentiles 10 to 90",
        "",
        f"`python benchmarks/road.py DATA`: {os.cpu_count()} cores ({platform.machine()}), jax {jax.__version__} on "
        f"{jax.default_backend()}, torch {torch.__version__} on cpu; float32; load average {os.getloadavg()[1]:.0f}. Ours is the median of {2 * options.rounds} "
        f"rounds, before and after the peer's turn; the first call compiles, {first - mine:.1f} s more. The peer was "
        f"timed on {options.peers_pictures} of the pictures ({seconds:.1f} s) and scaled to {PICTURES}.",
        "",
        "| | seconds | per picture | times |",
        "|---|---:|---:|---:|",
        f"| jaxcam | {mine:.2f} | {mine / PICTURES:.2f} | 1 |",
        f"| pytorch-grad-cam | {scaled:.1f} (scaled) | {scaled / PICTURES:.1f} | {scaled / mine:.0f} |",
        "",
        f"Values of the pictures that both measured: ours (mean of {options.rounds} keys) and the peer's differ by at most "
        f"{apart:.4f}; the standard deviation over keys, from the noise alone, is at most {spread:.4f}.",
    ]
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
