"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381) as in torchvision."""

from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, ConvNormActivation, Linear, Relu6, Sequential, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool

# Expansion, outputs, blocks and first stride of each stage.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nnx.Module):
    """Widen by a 1x1 kernel, filter each channel by itself, narrow by a 1x1 kernel without activation."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int, **options: Unpack[Options]):
        width = inputs * expansion
        layers = [] if expansion == 1 else [ConvNormActivation(inputs, width, 1, activation=Relu6, **options)]
        layers += [
            ConvNormActivation(width, width, 3, stride=stride, groups=width, activation=Relu6, **options),
            Conv(width, outputs, 1, bias=False, **options),
            BatchNorm(outputs, **options),
        ]
        self.conv = Sequential(layers)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nnx.Module):
    def __init__(self, *, num_classes: int, **options: Unpack[Options]):
        inputs = 32
        layers: list[nnx.Module] = [ConvNormActivation(3, inputs, 3, stride=2, activation=Relu6, **options)]
        for expansion, outputs, blocks, first_stride in STAGES:
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                layers.append(
                    InvertedResidual(inputs, outputs, stride=stride, expansion=expansion, **options)
                )
                inputs = outputs
        layers.append(ConvNormActivation(inputs, 1280, 1, activation=Relu6, **options))
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool(1)
        self.classifier = Sequential([dropout(0.2), Linear(1280, num_classes, **options)])

    def __call__(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


ARCHITECTURES = {"mobilenet_v2": Architecture(model=MobileNetV2, layer="features")}
