"""Weights and images that a rule and NumPy make: the same on every machine, with torch and without."""

import re
import zlib
from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx

import converters

# Gates halve a map in every block, so that in the end no logit would depend on the image. What these networks, which
# have such a gate, need in the kernels that lead through: in the blocks, or in those that nothing leads around.
_GAINS = {
    "features.4.block.2.fc1.weight": (r"features\.\d+\.block\.", 1.25),  # MobileNetV3
    "features.1.0.block.1.fc1.weight": (r"features\.\d+\.0\.block\.", 1.5),  # EfficientNet, but not V2
}


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A torch state_dict (names to float32 arrays) for these names and shapes.

    An array is drawn by `np.random.default_rng(zlib.crc32(name))`, evenly between two bounds:
    a kernel (two axes or more) between ±gain * sqrt(6 / fan_in), where a gain of 1 keeps the size of activations
    through a ReLU, and some kernels between gates have more;
    a batch norm's weight between 0.5 and 1, its running_var between 0.5 and 1.5;
    biases and running means between ±0.1. `num_batches_tracked` is 0.
    """
    pattern, gain = next((rule for gate, rule in _GAINS.items() if gate in shapes), (r"$", 1.0))
    return {
        name: _array(name, tuple(shape), gain if re.match(pattern, name) else 1.0)
        for name, shape in shapes.items()
    }


def _array(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    if len(shape) > 1:
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


def image(height: int, width: int, *, batch: int = 1, seed: int = 0) -> np.ndarray:
    """Standard normal float32 (batch, height, width, 3)."""
    return np.random.default_rng(seed).standard_normal((batch, height, width, 3), np.float32)


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state_dict that `model` (abstract will do) answers to."""
    graph, state = nnx.split(model)
    zeros = nnx.merge(graph, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
    return {name: value.shape for name, value in converters.to_torch(zeros).items()}
