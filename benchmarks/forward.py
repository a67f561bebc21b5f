"""Time of a forward pass beside torch on the CPU: `python benchmarks/forward.py` (needs the parity extra).

The networks of depthwise convolutions, which XLA's own CPU operation would make tens of times slower. The same
random weights and pictures on both sides, float32, in turn within one process: ours, torch's, ours, torch's ...
"""

import argparse
import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import reference
import synthetic

import converters
from jaxcam import models

NAMES = (
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"),
    *("shufflenet_v2_x0_5", "shufflenet_v2_x1_0"),
)


def pair(name: str, batch: int):
    """The two forward passes, of a batch of pictures to logits."""
    import torch

    state = synthetic.weights(reference.shapes(name, 1000))
    pictures = synthetic.image(224, 224, batch=batch)
    graph, weights = nnx.split(converters.from_torch(nnx.eval_shape(lambda: models.build(name)), state))
    forward = jax.jit(lambda weights, x: nnx.merge(graph, weights)(x))
    ours = jnp.asarray(pictures)
    network = reference.model(name, state, 1000)
    theirs = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).permute(0, 2, 3, 1)

    def torchs():
        with torch.inference_mode():
            return network(theirs)  # channels first in memory, as torch's users have them

    return lambda: jax.block_until_ready(forward(weights, ours)), torchs


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "forward.md")
    options = parser.parse_args()
    lines = [
        "# Forward passes on the CPU, beside torch",
        "",
        f"`python benchmarks/forward.py`: {os.cpu_count()} cores, jax {jax.__version__}, torch {torch.__version__}, 224 x "
        f"224, float32, {options.rounds} rounds in turn after two to warm up. Milliseconds a picture are medians, "
        "quartiles in brackets; the ratio is the median over rounds of ours over torch's, below 1 where ours is faster.",
        "",
        "| architecture | batch | jaxcam | torch | ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in options.names:
        for batch in options.batches:
            calls = pair(name, batch)
            for call in calls:
                call(), call()
            times = np.array([[timed(call) for call in calls] for _ in range(options.rounds)]) * 1e3 / batch
            low, middle, high = np.percentile(times, [25, 50, 75], axis=0)
            cells = [f"{m:.1f} ({a:.1f}–{b:.1f})" for a, m, b in zip(low, middle, high, strict=True)]
            ratio = np.median(times[:, 0] / times[:, 1])
            lines.append(f"| {name} | {batch} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
            print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
