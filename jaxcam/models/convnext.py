"""ConvNeXt (Liu et al., 2022, arXiv:2201.03545) as in torchvision, and V2 (Woo et al., 2023, arXiv:2301.00808)."""

from collections.abc import Callable
from functools import partial
from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._attention import wide_dtype
from ._conv import Conv
from ._layers import Flatten, Gelu, LayerNorm, Linear, Permute, Sequential, stochastic_depth
from ._options import Options
from ._pool import AdaptiveAvgPool
from ._preprocess import Preprocess


class Responses(nnx.Module):
    """The activation, and after it V2's global response normalisation.

    `x + bias + weight * x * n`, where `n` is the norm of a channel over all positions, divided by the channels' mean.
    """

    def __init__(self, channels: int, activation: Callable[[], nnx.Module], param_dtype):
        self.activation = activation()
        self.weight, self.bias = (nnx.Param(jnp.zeros((channels,), param_dtype)) for _ in range(2))

    def __call__(self, x):
        x = self.activation(x)
        wide = x.astype(wide_dtype(x))
        squares = jnp.square(wide).sum((1, 2), keepdims=True)
        # A channel that is zero everywhere has the gradient 0, as in torch, not that of a root.
        norms = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
        norms = (norms / (norms.mean(-1, keepdims=True) + 1e-6)).astype(x.dtype)
        weight, bias = (each[...].astype(x.dtype).reshape(1, 1, 1, -1) for each in (self.weight, self.bias))
        return x + bias + weight * (x * norms)


class Block(nnx.Module):
    """Filter each channel by itself, then mix the channels of each position; `rate` is of the stochastic depth."""

    def __init__(
        self,
        channels: int,
        *,
        rate: float,
        epsilon: float,
        activation: Callable[[], nnx.Module],
        responses: bool,
        rngs,
        dtype,
        param_dtype,
    ):
        options = {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        self.block = Sequential(
            [
                Conv(channels, channels, 7, padding=3, groups=channels, **options),
                Permute(),
                LayerNorm(channels, epsilon=epsilon, **options),
                Linear(channels, 4 * channels, **options),
                Responses(4 * channels, activation, param_dtype) if responses else activation(),
                Linear(4 * channels, channels, **options),
                Permute(),
            ]
        )
        # In torch's shape, so that a checkpoint's array is taken as it is.
        self.layer_scale = None if responses else nnx.Param(jnp.full((channels, 1, 1), 1e-6, param_dtype))
        self.stochastic_depth = stochastic_depth(rate)

    def __call__(self, x):
        y = self.block(x)
        if self.layer_scale is not None:
            y = y * self.layer_scale[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return x + self.stochastic_depth(y)


class ConvNeXt(nnx.Module):
    """`depths`, `widths`: blocks and channels of the stages; `rate`: stochastic depth of the last block.

    `epsilon`: of the layer norms; `activation`: of the blocks; `responses`: V2, with global response
    normalisation and without factors of the blocks. Without classes the output is the features.
    """

    headless = True  # num_classes may be 0

    def __init__(
        self,
        *,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        rate: float,
        epsilon: float = 1e-6,
        activation: Callable[[], nnx.Module] = Gelu,
        responses: bool = False,
        num_classes: int,
        **options: Unpack[Options],
    ):
        norm = partial(LayerNorm, epsilon=epsilon, **options)
        block = partial(Block, epsilon=epsilon, activation=activation, responses=responses, **options)
        inputs = widths[0]
        layers = [Sequential([Conv(3, inputs, 4, stride=4, **options), norm(inputs)])]
        count, last = 0, sum(depths) - 1
        for depth, width in zip(depths, widths, strict=True):
            if width != inputs:
                layers.append(Sequential([norm(inputs), Conv(inputs, width, 2, stride=2, **options)]))
                inputs = width
            rates = [rate * (count + index) / last for index in range(depth)]
            layers.append(Sequential([block(width, rate=each) for each in rates]))
            count += depth
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool(1)
        head = [Linear(inputs, num_classes, **options)] if num_classes else []
        self.classifier = Sequential([norm(inputs), Flatten(), *head])

    def __call__(self, x):
        return self.classifier(self.avgpool(self.features(x)))


def _architecture(depth: int, width: int, *, rate: float, resize: int) -> Architecture:
    """`depth`: blocks of the third stage; `width`: channels of the first, which every stage doubles."""
    options = {
        "depths": (3, 3, depth, 3),
        "widths": tuple(width * 2**stage for stage in range(4)),
        "rate": rate,
    }
    return Architecture(
        model=ConvNeXt, options=options, layer="features", preprocess=Preprocess(resize=resize, size=224)
    )


ARCHITECTURES = {
    "convnext_tiny": _architecture(9, 96, rate=0.1, resize=236),
    "convnext_small": _architecture(27, 96, rate=0.4, resize=230),
    "convnext_base": _architecture(27, 128, rate=0.5, resize=232),
    "convnext_large": _architecture(27, 192, rate=0.5, resize=232),
}
