"""MaxViT (Tu et al., 2022, arXiv:2204.01697) as in torchvision.

Stochastic depth, which matters in training only, is left out. Everything between layers is a map (B, H, W, C):
windows and grids are cut inside the attention, so every layer can be explained.
"""

from functools import partial
from typing import Unpack

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._architecture import Architecture
from ._attention import (
    TABLE_INIT,
    attend,
    relative_bias,
    relative_position_index,
    split_heads,
    unwindows,
    windows,
)
from ._conv import Conv, check_map
from ._layers import (
    BatchNorm,
    ConvNormActivation,
    Flatten,
    Gelu,
    LayerNorm,
    Linear,
    NamedSequential,
    Sequential,
    Silu,
    dropout,
)
from ._options import Options
from ._pool import AdaptiveAvgPool, AvgPool
from ._preprocess import BICUBIC, Preprocess
from ._squeeze_excitation import SqueezeExcitation

HEAD = 32  # channels of an attention head

_norm = partial(BatchNorm, epsilon=1e-3, momentum=0.99)
_convolution = partial(ConvNormActivation, activation=Gelu, norm=_norm)


class MBConv(nnx.Module):
    """Widen four times by a 1x1 kernel, filter each channel by itself, weigh the channels, narrow again."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, **options: Unpack[Options]):
        if stride == 1 and inputs == outputs:
            self.proj = None
        else:
            self.proj = Sequential(
                [*([AvgPool(3, stride=2, padding=1)] * (stride == 2)), Conv(inputs, outputs, 1, **options)]
            )
        width = 4 * outputs
        self.layers = NamedSequential(
            {
                "pre_norm": _norm(inputs, **options),
                "conv_a": _convolution(inputs, width, 1, **options),
                "conv_b": _convolution(width, width, 3, stride=stride, groups=width, **options),
                "squeeze_excitation": SqueezeExcitation(width, outputs // 4, activation=Silu, **options),
                "conv_c": Conv(width, outputs, 1, **options),
            }
        )

    def __call__(self, x):
        return (x if self.proj is None else self.proj(x)) + self.layers(x)


class RelativePositionalMultiHeadAttention(nnx.Module):
    """Attention among `partition` x `partition` positions: side by side, or with `grid` spread over the map."""

    def __init__(self, channels: int, *, partition: int, grid: bool, **options: Unpack[Options]):
        self.to_qkv = Linear(channels, 3 * channels, **options)
        self.merge = Linear(channels, channels, **options)
        heads = channels // HEAD
        self.relative_position_bias_table = nnx.Param(
            TABLE_INIT(options["rngs"].params(), ((2 * partition - 1) ** 2, heads), options["param_dtype"])
        )
        self.heads, self.partition, self.grid = heads, partition, grid

    def buffers(self) -> dict[str, np.ndarray]:
        """Arrays of torch's state_dict that follow from the size of the partition."""
        return {"relative_position_index": relative_position_index(self.partition)}

    def __call__(self, x):
        height, width, channels = x.shape[1:]
        cell = (self.partition,) * 2
        if self.grid:
            cell = height // self.partition, width // self.partition
        parts = windows(self.to_qkv(x), *cell)
        rows, columns = parts.shape[1:3]
        if self.grid:  # the positions that attend to each other are at the same place of every cell
            parts = jnp.swapaxes(parts.reshape(x.shape[0], 1, rows * columns, *parts.shape[3:]), 2, 3)
        bias = relative_bias(self.relative_position_bias_table[...], self.partition)[None, None, None]
        # by the root of all channels, not of a head's, as torchvision has it
        y = attend(*split_heads(parts, self.heads), scale=channels**-0.5, bias=bias)
        if self.grid:
            y = jnp.swapaxes(y, 2, 3).reshape(x.shape[0], rows, columns, -1, channels)
        return self.merge(unwindows(y, *cell))


class PartitionAttention(nnx.Module):
    def __init__(self, channels: int, *, partition: int, grid: bool, **options: Unpack[Options]):
        attention = RelativePositionalMultiHeadAttention(channels, partition=partition, grid=grid, **options)
        self.attn_layer = Sequential([LayerNorm(channels, **options), attention, dropout(0.0)])
        self.mlp_layer = Sequential(
            [
                LayerNorm(channels, **options),
                Linear(channels, 4 * channels, **options),
                Gelu(),
                Linear(4 * channels, channels, **options),
                dropout(0.0),
            ]
        )

    def __call__(self, x):
        x = x + self.attn_layer(x)
        return x + self.mlp_layer(x)


class MaxVitLayer(nnx.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int, partition: int, **options: Unpack[Options]):
        self.layers = NamedSequential(
            {
                "MBconv": MBConv(inputs, outputs, stride=stride, **options),
                "window_attention": PartitionAttention(outputs, partition=partition, grid=False, **options),
                "grid_attention": PartitionAttention(outputs, partition=partition, grid=True, **options),
            }
        )

    def __call__(self, x):
        return self.layers(x)


class MaxVitBlock(nnx.Module):
    def __init__(self, inputs: int, outputs: int, depth: int, *, partition: int, **options: Unpack[Options]):
        self.layers = Sequential(
            [
                MaxVitLayer(
                    outputs if index else inputs,
                    outputs,
                    stride=1 if index else 2,
                    partition=partition,
                    **options,
                )
                for index in range(depth)
            ]
        )

    def __call__(self, x):
        return self.layers(x)


class Tanh(nnx.Module):
    def __call__(self, x):
        return jnp.tanh(x)


class MaxVit(nnx.Module):
    """`channels`, `depths`: of each block, which halves the map; `partition`: side of windows and of grids.

    Images have the one size that torchvision cuts windows and grids for; any other is a ValueError.
    """

    def __init__(
        self,
        *,
        stem: int,
        channels: tuple[int, ...],
        depths: tuple[int, ...],
        partition: int,
        image_size: int = 224,
        num_classes: int,
        **options: Unpack[Options],
    ):
        self.image_size = image_size
        first = _convolution(3, stem, 3, stride=2, **options)
        self.stem = Sequential([first, Sequential([Conv(stem, stem, 3, padding=1, **options)])])
        inputs = (stem, *channels[:-1])
        self.blocks = Sequential(
            [
                MaxVitBlock(*sizes, partition=partition, **options)
                for sizes in zip(inputs, channels, depths, strict=True)
            ]
        )
        last = channels[-1]
        self.classifier = Sequential(
            [
                AdaptiveAvgPool(1),
                Flatten(),
                LayerNorm(last, **options),
                Linear(last, last, **options),
                Tanh(),
                Linear(last, num_classes, use_bias=False, **options),
            ]
        )

    def __call__(self, x):
        check_map(x, 3)
        if x.shape[1:3] != (self.image_size, self.image_size):
            raise ValueError(
                f"this model takes {self.image_size}x{self.image_size} images only, the size its windows and grids "
                f"are cut for; got {x.shape[1]}x{x.shape[2]}"
            )
        return self.classifier(self.blocks(self.stem(x)))


ARCHITECTURES = {
    "maxvit_t": Architecture(
        model=MaxVit,
        options={"stem": 64, "channels": (64, 128, 256, 512), "depths": (2, 2, 5, 2), "partition": 7},
        layer="blocks.3",
        preprocess=Preprocess(resize=224, size=224, interpolation=BICUBIC),
    )
}
