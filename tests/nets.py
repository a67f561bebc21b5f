"""Small networks whose truth is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxcam


class Affine(nnx.Module):
    """A batch norm folded into scale and bias. (flax's own mixes dtypes, which strict promotion refuses.)"""

    def __init__(self, channels, dtype):
        self.scale = nnx.Param(jnp.linspace(0.5, 1.5, channels, dtype=dtype))
        self.bias = nnx.Param(jnp.linspace(-0.2, 0.2, channels, dtype=dtype))

    def __call__(self, x):
        return x * self.scale[...][None, None, None] + self.bias[...][None, None, None]


class Block(nnx.Module):
    def __init__(self, inputs, outputs, *, rngs, dtype=None):
        param = dtype or jnp.float32
        self.conv = nnx.Conv(inputs, outputs, (3, 3), padding=1, rngs=rngs, dtype=dtype, param_dtype=param)
        self.norm = Affine(outputs, param)

    def __call__(self, x):
        return jax.nn.relu(self.norm(self.conv(x)))


class Small(nnx.Module):
    """Two blocks, then pooling and one linear layer; or ("flatten") no pooling; or ("deep") a block more."""

    def __init__(self, head="pool", *, classes=5, size=(6, 7), dtype=None, seed=0):
        rngs = nnx.Rngs(seed)
        self.head = head
        self.stem = Block(3, 8, rngs=rngs, dtype=dtype)
        self.blocks = nnx.List([Block(8, 12, rngs=rngs, dtype=dtype)])
        self.tail = Block(12, 12, rngs=rngs, dtype=dtype) if head == "deep" else None
        inputs = 12 * size[0] * size[1] if head == "flatten" else 12
        param = dtype or jnp.float32
        self.fc = nnx.Linear(inputs, classes, rngs=rngs, dtype=dtype, param_dtype=param)
        self.fc.bias[...] = jnp.linspace(-1, 1, classes, dtype=param)

    def __call__(self, x):
        x = self.stem(x)
        x = nnx.max_pool(x, (2, 2), (2, 2))
        for block in self.blocks:
            x = block(x)
        if self.tail is not None:
            x = self.tail(nnx.max_pool(x, (2, 2), (1, 1)))
        x = x.reshape(x.shape[0], -1) if self.head == "flatten" else jnp.mean(x, axis=(1, 2))
        return self.fc(x)


LAYER = "blocks.0"


@functools.cache
def small(head="pool", **options):
    return jaxcam.probe(Small(head, **options), LAYER)


def images(count=3, *, size=(12, 14), dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *size, 3)).astype(dtype)


def analytic(seed=0, *, h=5, w=6, K=7, classes=4, signed=True):
    """A split probe with known activation and gradient: s_c = Σ V_c A + ½ U_c A², so G = V_c + U_c A.

    Returns the probe, its image (the activation in its first channels), and A and G per class in float64.
    """
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(h, w, K)) if signed else rng.uniform(0, 1, size=(h, w, K))
    V, U = rng.normal(size=(2, classes, h, w, K))

    def head(a):
        a = a[0][None]
        return jnp.sum(jnp.asarray(V) * a + 0.5 * jnp.asarray(U) * a * a, axis=(1, 2, 3))[None]

    probe = jaxcam.probe(split=(lambda x: x, head))
    return probe, jnp.asarray(A), A, V + U * A


class Attentive(nnx.Module):
    """Patches of 2, a class token, two blocks of attention of two heads, and one linear layer on the class token."""

    leading_tokens = 1

    def __init__(self, *, classes=5, size=(6, 7), width=8, dtype=None, seed=0):
        rngs = nnx.Rngs(seed)
        param = dtype or jnp.float32
        options = {"rngs": rngs, "dtype": dtype, "param_dtype": param}
        self.patches = nnx.Conv(3, width, (2, 2), strides=2, **options)
        draw = lambda *shape: nnx.Param(jax.random.normal(rngs.params(), shape, param))  # noqa: E731
        self.token, self.places = draw(1, 1, width), draw(1, size[0] * size[1] + 1, width)
        self.blocks = nnx.List([AttentionBlock(width, **options) for _ in range(2)])
        self.fc = nnx.Linear(width, classes, **options)

    def __call__(self, x):
        x = self.patches(x)
        x = jnp.concatenate([self.token[...], x.reshape(1, -1, x.shape[-1])], axis=1) + self.places[...]
        for block in self.blocks:
            x = block(x)
        return self.fc(x[:, 0])


class AttentionBlock(nnx.Module):
    def __init__(self, width, **options):
        self.qkv = nnx.Linear(width, 3 * width, **options)
        self.out = nnx.Linear(width, width, **options)

    def __call__(self, x):
        split = lambda each: each.reshape(*each.shape[:2], 2, -1)  # noqa: E731
        q, k, v = map(split, jnp.split(self.qkv(x), 3, axis=-1))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), v)
        return x + self.out(mixed.reshape(x.shape))


@functools.cache
def attentive(**options):
    return jaxcam.probe(Attentive(**options), "blocks.0")
