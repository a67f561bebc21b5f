"""What a network says of a picture behind each of its channels: the costly part of Score-CAM and Abs-CAM, done once.

`python benchmarks/channel_scores.py --data FOLDER` keeps the target's probability and logit behind the mask of every
channel, for each picture and network of `papers.py`, in results/cache (not checked in); a second run goes on where the
first stopped. A mask does not depend on the scale of its channel, so all merges of Score-CAM and of Abs-CAM's second
phase follow from the same scores.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from pictures import NETWORKS, Pictures

from jaxcam import _masks
from jaxcam._dtypes import widen
from jaxcam.devices import _chunks

CACHE = Path(__file__).parent / "results" / "cache"


@jax.jit
def scores_of(probe, image, target):
    """(K, 2): probability and logit of the target behind each channel's mask."""
    _, activation = probe(image)
    behind = _masks.cover(image)

    def read(mask):
        output = widen(probe(behind(mask))[0])
        return jnp.stack([jax.nn.softmax(output)[target], output[target]])

    return _chunks.over_chunks(read, jnp.moveaxis(widen(activation), -1, 0), None, image.shape)


def key_of(name: str) -> str:
    """A picture's key in an npz file, where a slash would be a folder."""
    return name.replace("/", " ")


def kept(network: str, kind: str) -> dict[str, np.ndarray]:
    """Scores by picture, of those done so far."""
    file = CACHE / f"{network}-{kind}.npz"
    if not file.exists():
        return {}
    with np.load(file) as stored:
        return dict(stored)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of weights/, images/ and boxes/")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    for kind in ("imagenet", "boxes"):
        for network in NETWORKS:
            pictures = Pictures(network, kind, options.data)
            done = kept(network, kind)
            began = time.perf_counter()
            for number, name in enumerate(pictures.names):
                key = key_of(name)
                if key in done:
                    continue
                done[key] = np.asarray(
                    scores_of(pictures.probe, pictures.images[number], pictures.targets[number])
                )
                if number % 10 == 9 or number == len(pictures.names) - 1:
                    part = CACHE / "part.npz"
                    np.savez(part, **done)
                    part.rename(CACHE / f"{network}-{kind}.npz")
                    print(f"{network} {kind} {number + 1} {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
