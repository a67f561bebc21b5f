"""GoogLeNet (Szegedy et al., 2015, arXiv:1409.4842) with batch norm, as in torchvision, without auxiliary heads."""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._inception import BasicConv, transform_input
from ._layers import Linear, Sequential, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool, MaxPool


class Inception(nnx.Module):
    """Four branches side by side. The third has a 3x3 kernel where the paper has 5x5, as the weights do.

    `widths`: outputs of the 1x1 branch, of the two layers of the 3x3 and of the "5x5" one, of the pooled one.
    """

    def __init__(self, inputs: int, *widths: int, **options: Unpack[Options]):
        one, three_in, three, five_in, five, pooled = widths
        self.branch1 = BasicConv(inputs, one, 1, **options)
        self.branch2 = Sequential(
            [BasicConv(inputs, three_in, 1, **options), BasicConv(three_in, three, 3, **options)]
        )
        self.branch3 = Sequential(
            [BasicConv(inputs, five_in, 1, **options), BasicConv(five_in, five, 3, **options)]
        )
        self.branch4 = Sequential(
            [MaxPool(3, stride=1, padding=1, ceil=True), BasicConv(inputs, pooled, 1, **options)]
        )

    def __call__(self, x):
        return jnp.concatenate([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], axis=-1)


class GoogLeNet(nnx.Module):
    def __init__(self, *, num_classes: int, **options: Unpack[Options]):
        self.conv1 = BasicConv(3, 64, 7, stride=2, **options)
        self.maxpool1 = MaxPool(3, stride=2, ceil=True)
        self.conv2 = BasicConv(64, 64, 1, **options)
        self.conv3 = BasicConv(64, 192, 3, **options)
        self.maxpool2 = MaxPool(3, stride=2, ceil=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32, **options)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64, **options)
        self.maxpool3 = MaxPool(3, stride=2, ceil=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64, **options)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64, **options)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64, **options)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64, **options)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128, **options)
        self.maxpool4 = MaxPool(2, stride=2, ceil=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128, **options)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128, **options)
        self.avgpool = AdaptiveAvgPool(1)
        self.dropout = dropout(0.2)
        self.fc = Linear(1024, num_classes, **options)

    def __call__(self, x):
        x = self.maxpool1(self.conv1(transform_input(x)))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4c(self.inception4b(self.inception4a(x)))
        x = self.maxpool4(self.inception4e(self.inception4d(x)))
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        return self.fc(self.dropout(x.reshape(x.shape[0], -1)))


ARCHITECTURES = {"googlenet": Architecture(model=GoogLeNet, layer="inception5b")}
