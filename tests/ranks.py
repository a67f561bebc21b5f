"""Small networks of rank 1, 2 and 3, whose inputs are signals, pictures and volumes."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

import jaxcam

PLACES = 24
SPACES = {1: (PLACES,), 2: (4, 6), 3: (2, 3, 4)}  # the same positions, laid out otherwise


class Net(nnx.Module):
    """A convolutional network of any rank: halves every side, then pools and classifies."""

    def __init__(self, rank, *, channels=4, classes=3, dtype=jnp.float32):
        rngs, kernel = nnx.Rngs(0), (3,) * rank
        self.conv = nnx.Conv(2, channels, kernel, strides=2, padding=1, rngs=rngs, param_dtype=dtype)
        self.fc = nnx.Linear(channels, classes, rngs=rngs, param_dtype=dtype)
        self.fc.bias[...] = jnp.linspace(-1, 1, classes, dtype=dtype)
        self.rank = rank

    def __call__(self, x):
        x = jax.nn.relu(self.conv(x))
        return self.fc(jnp.mean(x, axis=tuple(range(1, self.rank + 1))))


def net(rank, **options):
    # flax broadcasts a bias, which strict rank promotion refuses
    with jax.numpy_rank_promotion("allow"):
        return jaxcam.probe(Net(rank, **options), "conv")


def batch(rank, *, dtype=np.float32, count=2):
    return np.random.default_rng(rank).normal(size=(count, *(8, 6, 10)[:rank], 2)).astype(dtype)


def pointwise(rank):
    """A probe whose score is the same however positions are laid out."""
    mix, classes = np.random.default_rng(5).normal(size=(2, 6, 6)).astype(np.float32)
    space = tuple(range(1, rank + 1))

    def features(x):
        return jnp.tanh(x @ mix[:2])

    def head(classes, a):
        return jnp.mean(a * jax.nn.relu(a), axis=space) @ classes

    return jaxcam.probe(split=(features, Partial(head, jnp.asarray(classes))))
