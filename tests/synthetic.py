"""Weights and images that a rule and NumPy make: the same on every machine, with torch and without."""

import zlib
from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx

import converters


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A torch state_dict (names to float32 arrays) for these names and shapes.

    An array is drawn by `np.random.default_rng(zlib.crc32(name))`, evenly between two bounds:
    a kernel (two axes or more) between ±sqrt(6 / fan_in), which keeps the size of activations through a ReLU;
    a batch norm's weight between 0.5 and 1, its running_var between 0.5 and 1.5;
    biases and running means between ±0.1. `num_batches_tracked` is 0.
    """
    return {name: _array(name, tuple(shape)) for name, shape in shapes.items()}


def _array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    if len(shape) > 1:
        bound = np.sqrt(6 / np.prod(shape[1:]))
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
