"""Squeeze and excitation (Hu et al., 2018, arXiv:1709.01507): a factor for each channel, from all channels' means."""

from collections.abc import Callable
from typing import Unpack

from flax import nnx

from ._conv import Conv
from ._layers import Relu, Sigmoid
from ._options import Options
from ._pool import AdaptiveAvgPool


class SqueezeExcitation(nnx.Module):
    """A map times `scale_activation(fc2(activation(fc1(its means))))`, one factor for each image and channel."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        activation: Callable[[], nnx.Module] = Relu,
        scale_activation: Callable[[], nnx.Module] = Sigmoid,
        **options: Unpack[Options],
    ):
        self.avgpool = AdaptiveAvgPool(1)
        self.fc1 = Conv(channels, squeezed, 1, **options)
        self.fc2 = Conv(squeezed, channels, 1, **options)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def __call__(self, x):
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return x * self.scale_activation(scale)
