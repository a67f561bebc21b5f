"""Time and memory beside pytorch-grad-cam and TorchCAM: `python benchmarks/latency.py` (needs the parity extra).

The same ResNet-50 weights, pictures, layer and targets on every side, in turn within one process: ours, theirs, ours,
theirs ... Times run from the host's batch of images to displayed maps on the host's side of the device (`explain`; the
peers' own call; for TorchCAM, which stops at the layer's size, plus a bilinear resize). Compile time stands apart.
Peak memory is that of a process of its own for each row.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
METHODS = {"gradcam": "GradCAM", "hirescam": "HiResCAM", "layercam": "LayerCAM"}
SIDES = ("jaxcam", "pytorch-grad-cam", "torchcam")


def weights(model: str):
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from _torchvision import load

    torchvision = load()
    import torch

    torch.manual_seed(0)
    return getattr(torchvision.models, model)(weights=None).eval()


def ours(model: str, method: str, images):
    import jax

    import converters
    import jaxcam
    from jaxcam import models

    state = {name: value.numpy() for name, value in weights(model).state_dict().items()}
    probe = jaxcam.probe(converters.from_torch(models.build(model), state), "layer4")
    targets = np.arange(len(images))
    return lambda: jax.block_until_ready(jaxcam.explain(probe, images, targets, method=method))


def pytorch_grad_cam(model: str, method: str, images):
    network = weights(model)  # first: the peer imports torchvision, which must be able to load
    import pytorch_grad_cam as peer
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = getattr(peer, METHODS[method])(network, [network.layer4])
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    targets = [ClassifierOutputTarget(c) for c in range(len(images))]
    return lambda: cam(batch, targets)


def torchcam(model: str, method: str, images):
    network = weights(model)
    import torch
    from torchcam import methods as peer

    if not hasattr(peer, METHODS[method]):
        return None
    cam = getattr(peer, METHODS[method])(network, target_layer="layer4")
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    def call():
        scores = network(batch)
        (maps,) = cam(list(range(len(images))), scores)
        return torch.nn.functional.interpolate(maps[:, None], size=images.shape[1:3], mode="bilinear")

    return call


MAKERS = dict(zip(SIDES, (ours, pytorch_grad_cam, torchcam), strict=True))


def pictures(batch: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, 224, 224, 3)).astype(np.float32)


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak(model: str, side: str, method: str, batch: int) -> float:
    """Peak resident memory in MB of a process that explains one batch twice."""
    command = [sys.executable, __file__, "--peak", model, side, method, str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_here(model: str, side: str, method: str, batch: str) -> None:
    call = MAKERS[side](model, method, pictures(int(batch)))
    call(), call()
    # not getrusage: its peak survives exec, so it would be the parent's
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    print(int(line.split()[1]) / 1024)


def measure(model: str, method: str, batch: int, rounds: int):
    calls = {side: MAKERS[side](model, method, pictures(batch)) for side in SIDES}
    calls = {side: call for side, call in calls.items() if call is not None}
    first = {side: timed(call) for side, call in calls.items()}
    times = {side: [] for side in calls}
    for _ in range(rounds):
        for side, call in calls.items():
            times[side].append(timed(call))
    mine = np.array(times[SIDES[0]])
    for side in calls:
        values = np.array(times[side])
        low, middle, high = np.percentile(1e3 * values / batch, [25, 50, 75])
        yield {
            "side": side,
            "ms": f"{middle:.0f} ({low:.0f}–{high:.0f})",
            "ratio": f"{np.median(values / mine):.2f}",
            "first": f"{max(0.0, first[side] - np.median(values)):.1f}" if side == SIDES[0] else "–",
            "peak": f"{peak(model, side, method, batch):.0f}",
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "latency.md")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        return peak_here(*options.peak)
    import jax
    import torch

    lines = [
        f"# Time and memory, {options.model}, layer4, 224 x 224",
        "",
        f"`python benchmarks/latency.py`: {os.cpu_count()} cores ({platform.machine()}), jax {jax.__version__} on "
        f"{jax.default_backend()}, torch {torch.__version__} on cpu; float32, {options.rounds} rounds in turn. "
        "Milliseconds per image are medians, quartiles in brackets; times is the median of the round-by-round ratio to "
        "jaxcam; compile is what jaxcam's first call took beyond a later one; peak is the whole process's memory.",
        "",
        "| method | batch | | ms per image | times | compile (s) | peak (MB) |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for method in options.methods:
        for batch in options.batches:
            for row in measure(options.model, method, batch, options.rounds):
                cells = (method, batch, *(row[key] for key in ("side", "ms", "ratio", "first", "peak")))
                lines.append("| " + " | ".join(map(str, cells)) + " |")
                print(lines[-1], flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")
    return None


if __name__ == "__main__":
    main()
