"""Swin Transformer V2 (Liu et al., 2022, arXiv:2111.09883) as in torchvision.

What is new over swin.py: cosine attention with a learned scale, a position bias that a small MLP computes from
offsets, and norms after, not before, what they belong to.
"""

import math
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._attention import attend, relative_bias, wide_dtype
from ._layers import LayerNorm, Linear, Relu, Sequential
from ._options import Options
from ._preprocess import BICUBIC, Preprocess
from .swin import Block, ShiftedWindowAttention, architecture, four_in_one


class Buffer(nnx.Variable):
    """Stored with the parameters, and read from a checkpoint, but not learned."""


class KeysWithoutBias(Linear):
    """Queries, keys and values side by side; the keys' share of the bias counts as 0, whatever it is."""

    def __call__(self, x, out_sharding=None):
        x, kernel, bias = self.promote_dtype((x, self.kernel[...], self.bias[...]), dtype=self.dtype)  # pyright: ignore
        bias = bias.at[self.in_features : 2 * self.in_features].set(0)
        return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class CosineWindowAttention(ShiftedWindowAttention):
    """Scores are cosines times `exp(logit_scale)`, at most 100; the bias is `16 sigmoid(MLP(offset))`."""

    projection = KeysWithoutBias

    def start_bias(self, **options: Unpack[Options]):
        self.logit_scale = nnx.Param(jnp.full((self.heads, 1, 1), math.log(10), options["param_dtype"]))
        self.relative_coords_table = Buffer(jnp.asarray(_offsets(self.window)))
        self.cpb_mlp = Sequential(
            [Linear(2, 512, **options), Relu(), Linear(512, self.heads, use_bias=False, **options)]
        )

    def bias(self):
        table = self.cpb_mlp(self.relative_coords_table[...]).astype(jnp.float32)
        return relative_bias(16 * jax.nn.sigmoid(table.reshape(-1, self.heads)), self.window)

    def attend(self, q, k, v, bias):
        scale = jnp.exp(jnp.minimum(self.logit_scale[...].astype(jnp.float32), math.log(100)))
        return attend(_unit(q), _unit(k), v, scale=scale[None, None, None], bias=bias)


def _offsets(window: int) -> np.ndarray:
    """`(1, 2 window - 1, 2 window - 1, 2)`: offsets down and right, spaced by their logarithm, ±log2(9) / 3."""
    steps = 8 * np.arange(1 - window, window, dtype=np.float32) / (window - 1)
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / 3
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)[None].astype(np.float32)


def _unit(x):
    """`x / max(|x|, 1e-12)` in float32 at least, with a finite gradient where x is 0, as the keys of padding are."""
    wide = x.astype(wide_dtype(x))
    square = jnp.square(wide).sum(-1, keepdims=True)
    return wide * jax.lax.rsqrt(jnp.maximum(square, 1e-24))


class BlockV2(Block):
    """Attention, then an MLP; each normalises what it gives."""

    attention = CosineWindowAttention

    def __call__(self, x):
        x = x + self.norm1(self.attn(x))
        return x + self.norm2(self.mlp(x))


class PatchMergingV2(nnx.Module):
    """Each square of four positions becomes one with twice the channels, normalised at the end."""

    def __init__(self, channels: int, **options: Unpack[Options]):
        self.reduction = Linear(4 * channels, 2 * channels, use_bias=False, **options)
        self.norm = LayerNorm(2 * channels, **options)

    def __call__(self, x):
        return self.norm(self.reduction(four_in_one(x)))


ARCHITECTURES = {
    f"swin_v2_{size}": architecture(
        size,
        Preprocess(resize=resize, size=256, interpolation=BICUBIC),
        window=8,
        block=BlockV2,
        merging=PatchMergingV2,
    )
    for size, resize in {"t": 260, "s": 260, "b": 272}.items()
}
