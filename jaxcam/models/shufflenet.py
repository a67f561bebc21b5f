"""ShuffleNet v2 (Ma et al., 2018, arXiv:1807.11164) as in torchvision."""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, ConvNormActivation, Linear, Relu, Sequential
from ._options import Options
from ._pool import MaxPool
from ._preprocess import IMAGENET, RESIZE_232, Preprocess


class InvertedResidual(nnx.Module):
    """Two branches of half the outputs each, whose channels alternate in the result.

    At stride 1 the first branch is empty, and each gets half of the channels; else each gets all.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, **options: Unpack[Options]):
        width = outputs // 2
        self.splits = stride == 1
        first = []
        if not self.splits:
            first = [
                *_depthwise(inputs, stride, **options),
                *ConvNormActivation(inputs, width, 1, activation=Relu, **options),
            ]
        self.branch1 = Sequential(first)
        self.branch2 = Sequential(
            [
                *ConvNormActivation(width if self.splits else inputs, width, 1, activation=Relu, **options),
                *_depthwise(width, stride, **options),
                *ConvNormActivation(width, width, 1, activation=Relu, **options),
            ]
        )

    def __call__(self, x):
        left, right = jnp.split(x, 2, axis=-1) if self.splits else (x, x)
        left, right = self.branch1(left), self.branch2(right)
        return jnp.stack([left, right], axis=-1).reshape(*left.shape[:3], -1)


def _depthwise(width: int, stride: int, **options: Unpack[Options]) -> tuple[Conv, BatchNorm]:
    conv = Conv(width, width, 3, stride=stride, padding=1, groups=width, bias=False, **options)
    return conv, BatchNorm(width, **options)


class ShuffleNetV2(nnx.Module):
    """`widths`: outputs of the three stages; `last`: of the 1x1 convolution behind them."""

    def __init__(
        self, *, widths: tuple[int, int, int], last: int = 1024, num_classes: int, **options: Unpack[Options]
    ):
        self.conv1 = ConvNormActivation(3, 24, 3, stride=2, activation=Relu, **options)
        self.maxpool = MaxPool(3, stride=2, padding=1)
        inputs, stages = 24, []
        for outputs, blocks in zip(widths, (4, 8, 4), strict=True):
            first = InvertedResidual(inputs, outputs, stride=2, **options)
            rest = [InvertedResidual(outputs, outputs, stride=1, **options) for _ in range(blocks - 1)]
            stages.append(Sequential([first, *rest]))
            inputs = outputs
        self.stage2, self.stage3, self.stage4 = stages
        self.conv5 = ConvNormActivation(inputs, last, 1, activation=Relu, **options)
        self.fc = Linear(last, num_classes, **options)

    def __call__(self, x):
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean((1, 2)))


def _architecture(*widths: int, last: int = 1024, preprocess: Preprocess = IMAGENET) -> Architecture:
    options = {"widths": widths, "last": last}
    return Architecture(model=ShuffleNetV2, options=options, layer="conv5", preprocess=preprocess)


ARCHITECTURES = {
    "shufflenet_v2_x0_5": _architecture(48, 96, 192),
    "shufflenet_v2_x1_0": _architecture(116, 232, 464),
    "shufflenet_v2_x1_5": _architecture(176, 352, 704, preprocess=RESIZE_232),
    "shufflenet_v2_x2_0": _architecture(244, 488, 976, last=2048, preprocess=RESIZE_232),
}
