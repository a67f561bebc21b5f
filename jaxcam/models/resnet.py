"""ResNet, ResNeXt and Wide ResNet as in torchvision (stride on the 3x3 convolution, "v1.5").

timm has variants of them: stems of three convolutions, means before the shortcuts' convolutions (ResNet-D, He et al.,
2019, arXiv:1812.01187), and squeeze and excitation.

He et al., 2016 (arXiv:1512.03385); Xie et al., 2017 (arXiv:1611.05431);
Zagoruyko and Komodakis, 2016 (arXiv:1605.07146).
"""

from typing import Unpack

import jax
from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, Linear, Permute, Relu, Sequential
from ._options import Options
from ._pool import AdaptiveAvgPool, HalvingMean, MaxPool
from ._preprocess import IMAGENET, RESIZE_232, Preprocess
from ._squeeze_excitation import SqueezeExcitation


class BasicBlock(nnx.Module):
    expansion = 1

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int,
        *,
        groups: int,
        group_width: int,
        means: bool = False,
        squeeze: float | None = None,
        **options: Unpack[Options],
    ):
        if (groups, group_width) != (1, 64):
            raise ValueError(f"a basic block has one group of 64, not {groups} of {group_width}")
        self.conv1 = Conv(inputs, planes, 3, stride=stride, padding=1, bias=False, **options)
        self.bn1 = BatchNorm(planes, **options)
        self.conv2 = Conv(planes, planes, 3, padding=1, bias=False, **options)
        self.bn2 = BatchNorm(planes, **options)
        self.se = None if squeeze is None else _squeeze(planes, squeeze, **options)
        self.downsample = _downsample(inputs, planes, stride, means, **options)

    def __call__(self, x):
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = y if self.se is None else self.se(y)
        return jax.nn.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nnx.Module):
    expansion = 4

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int,
        *,
        groups: int,
        group_width: int,
        means: bool = False,
        squeeze: float | None = None,
        **options: Unpack[Options],
    ):
        width, outputs = planes * group_width // 64 * groups, planes * self.expansion
        self.conv1 = Conv(inputs, width, 1, bias=False, **options)
        self.bn1 = BatchNorm(width, **options)
        self.conv2 = Conv(width, width, 3, stride=stride, padding=1, groups=groups, bias=False, **options)
        self.bn2 = BatchNorm(width, **options)
        self.conv3 = Conv(width, outputs, 1, bias=False, **options)
        self.bn3 = BatchNorm(outputs, **options)
        self.se = None if squeeze is None else _squeeze(outputs, squeeze, **options)
        self.downsample = _downsample(inputs, outputs, stride, means, **options)

    def __call__(self, x):
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y if self.se is None else self.se(y)
        return jax.nn.relu(y + (x if self.downsample is None else self.downsample(x)))


def _squeeze(channels: int, ratio: float, **options: Unpack[Options]) -> SqueezeExcitation:
    """Squeezed to `ratio` of the channels, rounded to a multiple of eight."""
    return SqueezeExcitation(channels, max(8, int(ratio * channels + 4) // 8 * 8), **options)


def _downsample(
    inputs: int, outputs: int, stride: int, means: bool, **options: Unpack[Options]
) -> Sequential | None:
    """The shortcut's 1x1 convolution; with `means`, a mean halves the map before it."""
    if stride == 1 and inputs == outputs:
        return None
    if means:
        return Sequential(
            [
                HalvingMean() if stride == 2 else Permute(),
                Conv(inputs, outputs, 1, bias=False, **options),
                BatchNorm(outputs, **options),
            ]
        )
    return Sequential(
        [Conv(inputs, outputs, 1, stride=stride, bias=False, **options), BatchNorm(outputs, **options)]
    )


def _stem(first: int, second: int, third: int, **options: Unpack[Options]) -> Sequential:
    return Sequential(
        [
            Conv(3, first, 3, stride=2, padding=1, bias=False, **options),
            BatchNorm(first, **options),
            Relu(),
            Conv(first, second, 3, padding=1, bias=False, **options),
            BatchNorm(second, **options),
            Relu(),
            Conv(second, third, 3, padding=1, bias=False, **options),
        ]
    )


class ResNet(nnx.Module):
    """`depths`: blocks in each of the four layers; `groups`, `group_width`: of a block's 3x3 convolution.

    `stem`: widths of the stem's three 3x3 convolutions, None for one of 7x7; `stem_pool`: whether it ends in a pool or
    in a convolution of stride 2; `means`: shortcuts are halved by means; `squeeze`: the part of its channels that a
    block's squeeze and excitation has, None for none.
    """

    def __init__(
        self,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        groups: int = 1,
        group_width: int = 64,
        stem: tuple[int, int, int] | None = None,
        stem_pool: bool = True,
        means: bool = False,
        squeeze: float | None = None,
        num_classes: int,
        **options: Unpack[Options],
    ):
        inputs = 64 if stem is None else stem[-1]
        self.conv1 = (
            Conv(3, inputs, 7, stride=2, padding=3, bias=False, **options)
            if stem is None
            else _stem(*stem, **options)
        )
        self.bn1 = BatchNorm(inputs, **options)
        self.relu = Relu()
        self.maxpool = (
            MaxPool(3, stride=2, padding=1)
            if stem_pool
            else Sequential(
                [
                    Conv(inputs, inputs, 3, stride=2, padding=1, bias=False, **options),
                    BatchNorm(inputs, **options),
                    Relu(),
                ]
            )
        )
        shared = {"groups": groups, "group_width": group_width, "means": means, "squeeze": squeeze, **options}
        layers = []
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                planes = 64 * 2**stage
                blocks.append(block(inputs, planes, stride, **shared))
                inputs = planes * block.expansion
            layers.append(Sequential(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.avgpool = AdaptiveAvgPool(1)
        self.fc = Linear(inputs, num_classes, **options)

    def __call__(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.avgpool(x)
        return self.fc(x.reshape(x.shape[0], -1))


def _architecture(
    block: type[BasicBlock] | type[Bottleneck],
    *depths: int,
    preprocess: Preprocess = IMAGENET,
    **widths: int,
) -> Architecture:
    options = {"block": block, "depths": depths, **widths}
    return Architecture(model=ResNet, options=options, layer="layer4", preprocess=preprocess)


ARCHITECTURES = {
    "resnet18": _architecture(BasicBlock, 2, 2, 2, 2),
    "resnet34": _architecture(BasicBlock, 3, 4, 6, 3),
    "resnet50": _architecture(Bottleneck, 3, 4, 6, 3),
    "resnet101": _architecture(Bottleneck, 3, 4, 23, 3),
    "resnet152": _architecture(Bottleneck, 3, 8, 36, 3),
    "resnext50_32x4d": _architecture(Bottleneck, 3, 4, 6, 3, groups=32, group_width=4),
    "resnext101_32x8d": _architecture(Bottleneck, 3, 4, 23, 3, groups=32, group_width=8),
    "resnext101_64x4d": _architecture(
        Bottleneck, 3, 4, 23, 3, groups=64, group_width=4, preprocess=RESIZE_232
    ),
    "wide_resnet50_2": _architecture(Bottleneck, 3, 4, 6, 3, group_width=128),
    "wide_resnet101_2": _architecture(Bottleneck, 3, 4, 23, 3, group_width=128),
}
