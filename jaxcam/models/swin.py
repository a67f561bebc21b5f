"""Swin Transformer (Liu et al., 2021, arXiv:2103.14030) as in torchvision; version 2 builds on it in swin_v2.py.

Stochastic depth, which matters in training only, is left out. Everything between layers is a map (B, H, W, C):
windows are cut inside the attention, so every layer can be explained.
"""

from collections.abc import Callable
from typing import Unpack

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._architecture import Architecture
from ._attention import (
    TABLE_INIT,
    Mlp,
    attend,
    relative_bias,
    relative_position_index,
    split_heads,
    unwindows,
    windows,
)
from ._conv import Conv
from ._layers import LayerNorm, Linear, Permute, Sequential
from ._options import Options
from ._pool import AdaptiveAvgPool
from ._preprocess import BICUBIC, Preprocess


class ShiftedWindowAttention(nnx.Module):
    """Attention inside windows of `window` x `window` positions, which may be shifted against the map's corner.

    A map that the windows do not cover is padded with zeros, and those are attended to, as in torchvision.
    """

    projection = Linear

    def __init__(self, channels: int, heads: int, *, window: int, shifted: bool, **options: Unpack[Options]):
        self.qkv = self.projection(channels, 3 * channels, **options)
        self.proj = Linear(channels, channels, **options)
        self.heads, self.window, self.shifted = heads, window, shifted
        self.start_bias(**options)

    def start_bias(self, **options: Unpack[Options]):
        size = (2 * self.window - 1) ** 2, self.heads
        table = TABLE_INIT(options["rngs"].params(), size, options["param_dtype"])
        self.relative_position_bias_table = nnx.Param(table)

    def buffers(self) -> dict[str, np.ndarray]:
        """Arrays of torch's state_dict that follow from the size of the window."""
        return {"relative_position_index": relative_position_index(self.window).reshape(-1)}

    def bias(self):
        """`(heads, N, N)` for the N positions of a window."""
        return relative_bias(self.relative_position_bias_table[...], self.window)

    def attend(self, q, k, v, bias):
        return attend(q, k, v, scale=q.shape[-1] ** -0.5, bias=bias)

    def __call__(self, x):
        size, window = x.shape[1:3], self.window
        padded = tuple(-(-n // window) * window for n in size)
        x = jnp.pad(x, ((0, 0), *((0, full - n) for full, n in zip(padded, size, strict=True)), (0, 0)))
        # One window has no neighbour to shift to.
        shifts = tuple(window // 2 if self.shifted and n > window else 0 for n in padded)
        qkv = windows(jnp.roll(self.qkv(x), [-n for n in shifts], (1, 2)), window, window)
        q, k, v = split_heads(qkv, self.heads)
        bias = self.bias()[None, None, None]
        if any(shifts):
            bias = bias + _mask(padded, window, shifts)
        x = unwindows(self.attend(q, k, v, bias), window, window)
        x = jnp.roll(self.proj(x), shifts, (1, 2))
        return x[:, : size[0], : size[1]]


def _mask(size, window: int, shifts):
    """-100 `(1, rows, columns, 1, N, N)` between positions that only the shift brought into one window."""
    rows, columns = (_sides(n, window, shift) for n, shift in zip(size, shifts, strict=True))
    side = windows(jnp.asarray(3 * rows[:, None] + columns[None])[None], window, window)
    return jnp.where(side[..., :, None] == side[..., None, :], 0.0, -100.0)[:, :, :, None]


def _sides(n: int, window: int, shift: int) -> np.ndarray:
    """0 in the windows before the last, 1 and 2 on the two sides of the seam in the last; 0 without a shift."""
    return np.digitize(np.arange(n), [n - window, n - shift]) if shift else np.zeros(n, int)


class Block(nnx.Module):
    """Attention, then an MLP; each normalises what it takes."""

    attention = ShiftedWindowAttention

    def __init__(self, channels: int, heads: int, *, window: int, shifted: bool, **options: Unpack[Options]):
        self.norm1 = LayerNorm(channels, **options)
        self.attn = self.attention(channels, heads, window=window, shifted=shifted, **options)
        self.norm2 = LayerNorm(channels, **options)
        self.mlp = Mlp(channels, 4 * channels, **options)

    def __call__(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nnx.Module):
    """Each square of four positions becomes one with twice the channels; odd sides are padded."""

    def __init__(self, channels: int, **options: Unpack[Options]):
        self.reduction = Linear(4 * channels, 2 * channels, use_bias=False, **options)
        self.norm = LayerNorm(4 * channels, **options)

    def __call__(self, x):
        return self.reduction(self.norm(four_in_one(x)))


def four_in_one(x):
    """`(B, H, W, C)` -> `(B, ⌈H/2⌉, ⌈W/2⌉, 4 C)`, column by column."""
    x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
    return jnp.concatenate([x[:, down::2, right::2] for right in (0, 1) for down in (0, 1)], axis=-1)


class SwinTransformer(nnx.Module):
    """`width`: channels of the first stage; `depths`, `heads`: of each stage; `window`: its side in patches,
    one for all stages or one for each.

    Images may have any size of 4x4 and more; the last rows and columns that fill no patch of 4x4 are dropped.
    """

    def __init__(
        self,
        *,
        width: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: int | tuple[int, ...],
        block: type[Block] = Block,
        merging: Callable[..., nnx.Module] = PatchMerging,
        num_classes: int,
        **options: Unpack[Options],
    ):
        layers: list[nnx.Module] = [
            Sequential([Conv(3, width, 4, stride=4, **options), Permute(), LayerNorm(width, **options)])
        ]
        channels = width
        sides = (window,) * len(depths) if isinstance(window, int) else window
        for stage, (depth, count, side) in enumerate(zip(depths, heads, sides, strict=True)):
            channels = width * 2**stage
            blocks = [
                block(channels, count, window=side, shifted=index % 2 == 1, **options)
                for index in range(depth)
            ]
            layers.append(Sequential(blocks))
            if stage < len(depths) - 1:
                layers.append(merging(channels, **options))
        self.features = Sequential(layers)
        self.norm = LayerNorm(channels, **options)
        self.avgpool = AdaptiveAvgPool(1)
        self.head = Linear(channels, num_classes, **options)

    def __call__(self, x):
        x = self.avgpool(self.norm(self.features(x)))
        return self.head(x.reshape(x.shape[0], -1))


# Name's last letter: width, blocks of the third stage and heads of the first, which double from stage to stage.
SIZES = {"t": (96, 6, 3), "s": (96, 18, 3), "b": (128, 18, 4)}


def architecture(size: str, preprocess: Preprocess, **options: object) -> Architecture:
    width, third, heads = SIZES[size]
    options |= {
        "width": width,
        "depths": (2, 2, third, 2),
        "heads": tuple(heads * 2**stage for stage in range(4)),
    }
    return Architecture(model=SwinTransformer, options=options, layer="norm", preprocess=preprocess)


ARCHITECTURES = {
    f"swin_{size}": architecture(size, Preprocess(resize=resize, size=224, interpolation=BICUBIC), window=7)
    for size, resize in {"t": 232, "s": 246, "b": 238}.items()
}
