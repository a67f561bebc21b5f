"""What the transformers share: attention over tokens or windows, and the small layers around it."""

from collections.abc import Callable
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._layers import Gelu, Linear, Sequential, dropout
from ._options import Options

TABLE_INIT = nnx.initializers.truncated_normal(0.02)


def attend(q, k, v, *, scale, bias=None):
    """`softmax(scale q kᵀ + bias) v` of each head, the softmax in float32 at least.

    Args:
        q, k, v: `(..., tokens, heads, width)`.
        scale: a number, or an array that the scores' shape takes.
        bias: `(..., heads, tokens, tokens)` or None.

    Returns:
        `(..., tokens, heads * width)` in the dtype of `v`.
    """
    wide = wide_dtype(q)
    scores = scale * jnp.einsum("...qhd,...khd->...hqk", q, k, preferred_element_type=wide)
    if bias is not None:
        scores = scores + bias.astype(wide)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    y = jnp.einsum("...hqk,...khd->...qhd", weights, v)
    return y.reshape(*y.shape[:-2], -1)


def wide_dtype(x):
    """float32, or the dtype of `x` where that is wider."""
    return jnp.float32 if x.dtype.itemsize < 4 else x.dtype


def split_heads(qkv, heads: int):
    """`(..., 3 * channels)` -> queries, keys and values `(..., heads, channels / heads)`."""
    return jnp.moveaxis(qkv.reshape(*qkv.shape[:-1], 3, heads, -1), -3, 0)


def windows(x, height: int, width: int):
    """`(B, H, W, ...)` -> `(B, H / height, W / width, height * width, ...)`."""
    batch, rows, columns, *rest = x.shape
    x = x.reshape(batch, rows // height, height, columns // width, width, *rest)
    x = jnp.moveaxis(x, 2, 3)
    return x.reshape(*x.shape[:3], height * width, *rest)


def unwindows(x, height: int, width: int):
    """The inverse of `windows`."""
    batch, rows, columns, _, *rest = x.shape
    x = jnp.moveaxis(x.reshape(batch, rows, columns, height, width, *rest), 3, 2)
    return x.reshape(batch, rows * height, columns * width, *rest)


def relative_position_index(window: int) -> np.ndarray:
    """The row of a table of `(2 window - 1)²` offsets for each pair of a window's positions `(N, N)`, int64."""
    positions = np.stack(np.meshgrid(np.arange(window), np.arange(window), indexing="ij")).reshape(2, -1)
    down, right = positions[:, :, None] - positions[:, None, :] + window - 1
    return down * (2 * window - 1) + right


def relative_bias(table, window: int):
    """A table `((2 window - 1)², heads)` -> the bias of every pair of positions `(heads, N, N)`."""
    return jnp.moveaxis(table[relative_position_index(window)], -1, 0)


class Gate(nnx.Module):
    """The activation of the first half of the channels, times the second half."""

    def __init__(self, activation: nnx.Module):
        self.activation = activation

    def __call__(self, x):
        first, second = jnp.split(x, 2, axis=-1)
        return self.activation(first) * second  # pyright: ignore[reportCallIssue]


class Mlp(Sequential):
    """Linear `0`, GELU `1`, dropout `2`, linear `3`, dropout `4`: torchvision's numbers.

    `gated`: the activation of the first half of the hidden channels is the factor of the other half.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        activation: Callable[[], nnx.Module] = Gelu,
        gated: bool = False,
        **options: Unpack[Options],
    ):
        super().__init__(
            [
                Linear(channels, hidden, **options),
                Gate(activation()) if gated else activation(),
                dropout(0.0),
                Linear(hidden // 2 if gated else hidden, channels, **options),
                dropout(0.0),
            ]
        )
