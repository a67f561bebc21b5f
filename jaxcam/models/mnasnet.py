"""MNASNet-B1 (Tan et al., 2019, arXiv:1807.11626) as in torchvision."""

from functools import partial
from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, ConvNormActivation, Linear, Relu, Sequential, dropout, multiple_of_eight
from ._options import Options
from ._preprocess import IMAGENET, RESIZE_232

# Expansion, outputs, kernel, blocks and first stride of each stage.
STAGES = (
    (3, 24, 3, 3, 2),
    (3, 40, 5, 3, 2),
    (6, 80, 5, 3, 2),
    (6, 96, 3, 2, 1),
    (6, 192, 5, 4, 2),
    (6, 320, 3, 1, 1),
)

Norm = partial(BatchNorm, momentum=0.9997)


class InvertedResidual(nnx.Module):
    """Widen by a 1x1 kernel, filter each channel by itself, narrow by a 1x1 kernel without activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int,
        expansion: int,
        **options: Unpack[Options],
    ):
        width = inputs * expansion
        self.layers = Sequential(
            [
                *ConvNormActivation(inputs, width, 1, activation=Relu, norm=Norm, **options),
                *ConvNormActivation(
                    width, width, kernel, stride=stride, groups=width, activation=Relu, norm=Norm, **options
                ),
                Conv(width, outputs, 1, bias=False, **options),
                Norm(outputs, **options),
            ]
        )
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class MNASNet(nnx.Module):
    """`scale` multiplies all widths but the last."""

    def __init__(self, *, scale: float, num_classes: int, **options: Unpack[Options]):
        stem, inputs = multiple_of_eight(32 * scale), multiple_of_eight(16 * scale)
        layers: list[nnx.Module] = [
            *ConvNormActivation(3, stem, 3, stride=2, activation=Relu, norm=Norm, **options),
            *ConvNormActivation(stem, stem, 3, groups=stem, activation=Relu, norm=Norm, **options),
            Conv(stem, inputs, 1, bias=False, **options),
            Norm(inputs, **options),
        ]
        for expansion, width, kernel, count, first_stride in STAGES:
            outputs, blocks = multiple_of_eight(width * scale), []
            for index in range(count):
                stride = first_stride if index == 0 else 1
                blocks.append(
                    InvertedResidual(inputs, outputs, kernel, stride=stride, expansion=expansion, **options)
                )
                inputs = outputs
            layers.append(Sequential(blocks))
        layers += ConvNormActivation(inputs, 1280, 1, activation=Relu, norm=Norm, **options)
        self.layers = Sequential(layers)
        self.classifier = Sequential([dropout(0.2), Linear(1280, num_classes, **options)])

    def __call__(self, x):
        return self.classifier(self.layers(x).mean((1, 2)))


ARCHITECTURES = {
    f"mnasnet{version}": Architecture(
        model=MNASNet, options={"scale": scale}, layer="layers", preprocess=preprocess
    )
    for version, scale, preprocess in (
        ("0_5", 0.5, IMAGENET),
        ("0_75", 0.75, RESIZE_232),
        ("1_0", 1.0, IMAGENET),
        ("1_3", 1.3, RESIZE_232),
    )
}
