"""A small network which says which digits a picture holds, and its shipped weights."""

from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8
from safetensors.numpy import load_file, save_file

LAYER = "stage3"  # what the demo explains: a 14x14 grid for a picture of 112 pixels
WEIGHTS = Path(__file__).with_name("weights.safetensors")
Network = TypeVar("Network", bound=nnx.Module)


class Block(nnx.Module):
    """A 3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, rngs: nnx.Rngs):
        self.conv = nnx.Conv(
            inputs, outputs, (3, 3), strides=stride, padding=((1, 1), (1, 1)), use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        return jax.nn.relu(self.norm(self.conv(x)))


class DigitFinder(nnx.Module):
    """Pictures `(B, H, W, 3)` to ten logits: digit c is somewhere in the picture, each class on its own.

    A convolution and the length of each channel over all places (the root of its summed squares) lie between
    `stage3` and the linear layer. So the gradient at `stage3` differs from place to place, and so do the
    methods; behind a plain average most of them would give the same map.
    """

    def __init__(self, *, rngs: nnx.Rngs):
        self.stem = Block(3, 16, stride=2, rngs=rngs)
        self.stage1 = nnx.Sequential(Block(16, 24, stride=2, rngs=rngs), Block(24, 24, rngs=rngs))
        self.stage2 = nnx.Sequential(Block(24, 48, stride=2, rngs=rngs), Block(48, 48, rngs=rngs))
        self.stage3 = Block(48, 64, rngs=rngs)
        self.stage4 = Block(64, 80, rngs=rngs)  # not 64, so that every layer has a width of its own
        self.classifier = nnx.Linear(80, 10, rngs=rngs)

    def __call__(self, x):
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        length = jnp.sqrt((x**2).sum(axis=(1, 2)) / 4 + 1e-6)
        return self.classifier(length)


def prepare(images: UInt8[Array | np.ndarray, "... 3"]) -> Float[Array, "... 3"]:
    """Bytes to the numbers the network was trained on: the slate near 0, chalk near 2."""
    return (jnp.asarray(images, jnp.float32) / 255 - 0.2) / 0.3


def save(model: nnx.Module, path: Path = WEIGHTS) -> None:
    """Writes parameters and running statistics as float16: half the bytes, the same answers."""
    flat = nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat)))
    save_file({"/".join(map(str, key)): np.asarray(value[...], np.float16) for key, value in flat}, path)


def load(path: Path = WEIGHTS) -> DigitFinder:
    """The trained network, in float32 and evaluation mode."""
    return restored(DigitFinder(rngs=nnx.Rngs(0)), path)


def restored(model: Network, path: Path) -> Network:
    """The model with the parameters and statistics that `save` wrote, in float32 and evaluation mode."""
    stored = load_file(path)
    for key, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        variable[...] = jnp.asarray(stored.pop("/".join(map(str, key))), jnp.float32)
    model.eval()
    return model
