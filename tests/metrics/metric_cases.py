"""A small network, pictures and maps that the tests of the metrics share."""

import numpy as np
from nets import images, small

SIZE = (12, 14)
TARGETS = [0, 3, 1]


def case(dtype=np.float32, count=3, seed=0):
    """A probe, images, class indices and maps in [0, 1] with ties and zeros."""
    maps = np.random.default_rng(seed).uniform(-0.5, 1, size=(count, *SIZE)).clip(0).astype(dtype).round(2)
    return small(dtype=dtype), images(count, dtype=dtype, seed=seed), np.array(TARGETS[:count]), maps
