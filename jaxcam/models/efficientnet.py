"""EfficientNet (Tan and Le, 2019, arXiv:1905.11946) and EfficientNetV2 (2021, arXiv:2104.00298) as in torchvision."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import NamedTuple, Unpack

from flax import nnx

from ._architecture import Architecture
from ._layers import (
    BatchNorm,
    ConvNormActivation,
    Linear,
    Sequential,
    Silu,
    dropout,
    multiple_of_eight,
    stochastic_depth,
)
from ._options import Options
from ._pool import AdaptiveAvgPool
from ._preprocess import BICUBIC, Preprocess
from ._squeeze_excitation import SqueezeExcitation
from .mobilenetv3 import inverted_bottleneck


class Stage(NamedTuple):
    """`stride` is the first block's; a `fused` block has one convolution for the first two, and no excitation.

    `squeeze`: whether the blocks that are not fused have one. A fused block without expansion is one convolution.
    """

    expansion: int
    kernel: int
    stride: int
    outputs: int
    blocks: int
    fused: bool = False
    squeeze: bool = True


Fused = partial(Stage, fused=True, squeeze=False)

B0 = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
V2_S = (
    Fused(1, 3, 1, 24, 2),
    Fused(4, 3, 2, 48, 4),
    Fused(4, 3, 2, 64, 4),
    Stage(4, 3, 2, 128, 6),
    Stage(6, 3, 1, 160, 9),
    Stage(6, 3, 2, 256, 15),
)
V2_M = (
    Fused(1, 3, 1, 24, 3),
    Fused(4, 3, 2, 48, 5),
    Fused(4, 3, 2, 80, 5),
    Stage(4, 3, 2, 160, 7),
    Stage(6, 3, 1, 176, 14),
    Stage(6, 3, 2, 304, 18),
    Stage(6, 3, 1, 512, 5),
)
V2_L = (
    Fused(1, 3, 1, 32, 4),
    Fused(4, 3, 2, 64, 7),
    Fused(4, 3, 2, 96, 7),
    Stage(4, 3, 2, 192, 10),
    Stage(6, 3, 1, 224, 19),
    Stage(6, 3, 2, 384, 25),
    Stage(6, 3, 1, 640, 7),
)


class MBConv(nnx.Module):
    """MobileNetV3's block, or its `fused` form; `rate` is of its stochastic depth."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: int,
        stride: int,
        fused: bool,
        squeeze: bool,
        rate: float,
        norm: Callable[..., nnx.Module],
        activation: Callable[[], nnx.Module],
        same: bool,
        **options: Unpack[Options],
    ):
        excite = partial(SqueezeExcitation, squeezed=inputs // 4, activation=activation)
        build = _fused if fused else partial(inverted_bottleneck, squeeze=excite if squeeze else None)
        self.block = build(
            inputs,
            inputs * expansion,
            outputs,
            kernel=kernel,
            stride=stride,
            norm=norm,
            activation=activation,
            same=same,
            **options,
        )
        self.stochastic_depth = stochastic_depth(rate)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x):
        return x + self.stochastic_depth(self.block(x)) if self.residual else self.block(x)


def _fused(
    inputs: int,
    width: int,
    outputs: int,
    *,
    kernel: int,
    stride: int,
    norm: Callable[..., nnx.Module],
    activation: Callable[[], nnx.Module],
    same: bool,
    **options: Unpack[Options],
) -> Sequential:
    shared = {"norm": norm, "same": same, **options}
    narrow = partial(ConvNormActivation, activation=None, **shared)
    wide = partial(ConvNormActivation, kernel=kernel, stride=stride, activation=activation, **shared)
    if width == inputs:
        return Sequential([wide(inputs, outputs)])
    return Sequential([wide(inputs, width), narrow(width, outputs, 1)])


class EfficientNet(nnx.Module):
    """`stem`, `last`: channels before the first stage and after the last; `rate`: of the dropout.

    `same`: convolutions are padded by TensorFlow's rule.
    """

    def __init__(
        self,
        *,
        stem: int,
        stages: tuple[Stage, ...],
        last: int,
        rate: float,
        norm: Callable[..., nnx.Module],
        activation: Callable[[], nnx.Module] = Silu,
        same: bool = False,
        num_classes: int,
        **options: Unpack[Options],
    ):
        shared = {"norm": norm, "activation": activation, "same": same, **options}
        outer = partial(ConvNormActivation, **shared)
        layers: list[nnx.Module] = [outer(3, stem, 3, stride=2)]
        inputs, count, total = stem, 0, sum(stage.blocks for stage in stages)
        for stage in stages:
            blocks = []
            for index in range(stage.blocks):
                block = MBConv(
                    inputs,
                    stage.outputs,
                    expansion=stage.expansion,
                    kernel=stage.kernel,
                    stride=stage.stride if index == 0 else 1,
                    fused=stage.fused,
                    squeeze=stage.squeeze,
                    rate=0.2 * count / total,
                    **shared,
                )
                blocks.append(block)
                inputs, count = stage.outputs, count + 1
            layers.append(Sequential(blocks))
        layers.append(outer(inputs, last, 1))
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool(1)
        self.classifier = Sequential([dropout(rate), Linear(last, num_classes, **options)])

    def __call__(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


def _v1(
    width: float, depth: float, rate: float, resize: int, size: int, *, norm: Callable = BatchNorm
) -> Architecture:
    """B0 with `width` times the channels and `depth` times the blocks."""
    stages = tuple(
        stage._replace(outputs=multiple_of_eight(width * stage.outputs), blocks=ceil(depth * stage.blocks))
        for stage in B0
    )
    return Architecture(
        model=EfficientNet,
        options={
            "stem": multiple_of_eight(32 * width),
            "stages": stages,
            "last": 4 * stages[-1].outputs,
            "rate": rate,
            "norm": norm,
        },
        layer="features",
        preprocess=Preprocess(resize=resize, size=size, interpolation=BICUBIC),
    )


def _v2(stages: tuple[Stage, ...], rate: float, **preprocess) -> Architecture:
    return Architecture(
        model=EfficientNet,
        options={
            "stem": stages[0].outputs,
            "stages": stages,
            "last": 1280,
            "rate": rate,
            "norm": partial(BatchNorm, epsilon=1e-3),
        },
        layer="features",
        preprocess=Preprocess(**preprocess),
    )


_slow = partial(BatchNorm, epsilon=1e-3, momentum=0.99)
_half = (0.5, 0.5, 0.5)

ARCHITECTURES = {
    "efficientnet_b0": _v1(1.0, 1.0, 0.2, 256, 224),
    "efficientnet_b1": _v1(1.0, 1.1, 0.2, 256, 240),
    "efficientnet_b2": _v1(1.1, 1.2, 0.3, 288, 288),
    "efficientnet_b3": _v1(1.2, 1.4, 0.3, 320, 300),
    "efficientnet_b4": _v1(1.4, 1.8, 0.4, 384, 380),
    "efficientnet_b5": _v1(1.6, 2.2, 0.4, 456, 456, norm=_slow),
    "efficientnet_b6": _v1(1.8, 2.6, 0.5, 528, 528, norm=_slow),
    "efficientnet_b7": _v1(2.0, 3.1, 0.5, 600, 600, norm=_slow),
    "efficientnet_v2_s": _v2(V2_S, 0.2, resize=384, size=384),
    "efficientnet_v2_m": _v2(V2_M, 0.3, resize=480, size=480),
    "efficientnet_v2_l": _v2(V2_L, 0.4, resize=480, size=480, interpolation=BICUBIC, mean=_half, std=_half),
}
