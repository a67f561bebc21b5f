"""The small ResNets for CIFAR (He et al., 2016, arXiv:1512.03385, section 4.2).

Attributes are named as in akamaster/pytorch_resnet_cifar10, whose checkpoints fit.
Their shortcut has no parameters ("option A"): every second pixel, and zeros for the new channels.
"""

from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, Linear, Sequential
from ._options import Options
from ._preprocess import CIFAR


class BasicBlock(nnx.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int, **options: Unpack[Options]):
        self.conv1 = Conv(inputs, outputs, 3, stride=stride, padding=1, bias=False, **options)
        self.bn1 = BatchNorm(outputs, **options)
        self.conv2 = Conv(outputs, outputs, 3, padding=1, bias=False, **options)
        self.bn2 = BatchNorm(outputs, **options)
        self.stride = stride
        self.new_channels = outputs - inputs

    def __call__(self, x):
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        half = self.new_channels // 2
        shortcut = x[:, :: self.stride, :: self.stride]
        return jax.nn.relu(y + jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (half, half))))


class CifarResNet(nnx.Module):
    """`blocks`: residual blocks in each of the three layers; 6 * blocks + 2 layers have parameters."""

    def __init__(self, *, blocks: int, num_classes: int, **options: Unpack[Options]):
        self.conv1 = Conv(3, 16, 3, padding=1, bias=False, **options)
        self.bn1 = BatchNorm(16, **options)
        self.layer1 = _layer(16, 16, blocks, 1, **options)
        self.layer2 = _layer(16, 32, blocks, 2, **options)
        self.layer3 = _layer(32, 64, blocks, 2, **options)
        self.linear = Linear(64, num_classes, **options)

    def __call__(self, x):
        x = jax.nn.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((1, 2)))


def _layer(inputs: int, outputs: int, blocks: int, stride: int, **options: Unpack[Options]) -> Sequential:
    rest = [BasicBlock(outputs, outputs, stride=1, **options) for _ in range(blocks - 1)]
    return Sequential([BasicBlock(inputs, outputs, stride=stride, **options), *rest])


ARCHITECTURES = {
    f"cifar_resnet{depth}": Architecture(
        model=CifarResNet,
        options={"blocks": (depth - 2) // 6},
        layer="layer3",
        num_classes=10,
        preprocess=CIFAR,
    )
    for depth in (20, 32, 44, 56, 110, 1202)
}
