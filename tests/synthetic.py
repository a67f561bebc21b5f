"""Weights and images that a rule and NumPy make: the same on every machine, with torch and without."""

import itertools
import re
import zlib
from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx

import converters

# Gates halve a map in every block, so that in the end no logit would depend on the image: the kernels that lead
# through, in the blocks or in those that nothing leads around, need more. Blocks that something leads around add up, a
# hundred of them until rounding is all there is: their kernels need less.
_FIRST, _REST = r"features\.\d+\.0\.block\.", r"features\.\d+\.[1-9]\d*\.block\."
_GAINS = {
    "features.4.block.2.fc1.weight": {r"features\.\d+\.block\.": 1.25},  # MobileNetV3
    "features.1.0.block.1.fc1.weight": {_FIRST: 1.5, _REST: 0.8},  # EfficientNet
    "features.4.0.block.2.fc1.weight": {_FIRST: 1.25, _REST: 0.7},  # EfficientNetV2
}


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A torch state_dict (names to float32 arrays) for these names and shapes.

    An array is drawn by `np.random.default_rng(zlib.crc32(name))`, evenly between two bounds:
    a kernel (two axes or more) between ±gain * sqrt(6 / fan_in), where a gain of 1 keeps the size of activations
    through a ReLU, and some kernels between gates have more or less;
    a batch norm's weight between 0.5 and 1, its running_var between 0.5 and 1.5;
    a transformer's tokens and positions between ±1, its `logit_scale` between 2 and 3;
    biases and running means between ±0.1. `num_batches_tracked` is 0, `relative_position_index` is what it must be.
    """
    gains: Mapping[str, float] = next((rules for gate, rules in _GAINS.items() if gate in shapes), {})

    def gain(name: str) -> float:
        return next((each for pattern, each in gains.items() if re.match(pattern, name)), 1.0)

    return {name: _array(name, tuple(shape), gain(name)) for name, shape in shapes.items()}


def _array(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    if name.endswith("relative_position_index"):
        return _index(shape)
    if name.endswith(("class_token", "pos_embedding", "relative_coords_table")):
        low, high = -1.0, 1.0
    elif name.endswith("logit_scale"):
        low, high = 2.0, 3.0
    elif len(shape) > 1:
        bound = gain * np.sqrt(6 / np.prod(shape[1:]))
        low, high = -bound, bound
    elif name.endswith("running_var"):
        low, high = 0.5, 1.5
    elif name.endswith("weight"):
        low, high = 0.5, 1.0
    else:
        low, high = -0.1, 0.1
    values = np.random.default_rng(zlib.crc32(name.encode())).random(shape, np.float32)
    values *= np.float32(high - low)
    values += np.float32(low)
    return values


def _index(shape: tuple[int, ...]) -> np.ndarray:
    """Pairs of a window's positions, numbered by the offset between them; the shape, flat or not, tells the window."""
    side = round(np.prod(shape) ** 0.25)
    offsets = range(1 - side, side)
    number = {(down, right): i for i, (down, right) in enumerate(itertools.product(offsets, offsets))}
    positions = list(itertools.product(range(side), range(side)))
    pairs = [number[a - c, b - d] for a, b in positions for c, d in positions]
    return np.array(pairs, np.int64).reshape(shape)


def image(height: int, width: int, *, batch: int = 1, seed: int = 0) -> np.ndarray:
    """Standard normal float32 (batch, height, width, 3)."""
    return np.random.default_rng(seed).standard_normal((batch, height, width, 3), np.float32)


def size(name: str) -> tuple[int, int]:
    """Height and width that the goldens are made at: odd, unequal and large enough for AlexNet, where any will do."""
    if name.startswith(("vit_", "maxvit_")):
        return 224, 224
    return (79, 83) if name == "inception_v3" else (65, 71)


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state_dict that `model` (abstract will do) answers to."""
    graph, state = nnx.split(model)
    zeros = nnx.merge(graph, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
    return {name: value.shape for name, value in converters.to_torch(zeros).items()}
