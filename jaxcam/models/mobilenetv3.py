"""MobileNetV3 (Howard et al., 2019, arXiv:1905.02244) as in torchvision."""

from collections.abc import Callable
from functools import partial
from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._layers import (
    BatchNorm,
    ConvNormActivation,
    Hardsigmoid,
    Hardswish,
    Linear,
    Relu,
    Sequential,
    dropout,
    multiple_of_eight,
)
from ._options import Options
from ._pool import AdaptiveAvgPool
from ._squeeze_excitation import SqueezeExcitation

Norm = partial(BatchNorm, epsilon=1e-3, momentum=0.99)

# Kernel, width, outputs, squeeze and excitation or not, activation and stride of each block.
LARGE = (
    (3, 16, 16, False, Relu, 1),
    (3, 64, 24, False, Relu, 2),
    (3, 72, 24, False, Relu, 1),
    (5, 72, 40, True, Relu, 2),
    (5, 120, 40, True, Relu, 1),
    (5, 120, 40, True, Relu, 1),
    (3, 240, 80, False, Hardswish, 2),
    (3, 200, 80, False, Hardswish, 1),
    (3, 184, 80, False, Hardswish, 1),
    (3, 184, 80, False, Hardswish, 1),
    (3, 480, 112, True, Hardswish, 1),
    (3, 672, 112, True, Hardswish, 1),
    (5, 672, 160, True, Hardswish, 2),
    (5, 960, 160, True, Hardswish, 1),
    (5, 960, 160, True, Hardswish, 1),
)
SMALL = (
    (3, 16, 16, True, Relu, 2),
    (3, 72, 24, False, Relu, 2),
    (3, 88, 24, False, Relu, 1),
    (5, 96, 40, True, Hardswish, 2),
    (5, 240, 40, True, Hardswish, 1),
    (5, 240, 40, True, Hardswish, 1),
    (5, 120, 48, True, Hardswish, 1),
    (5, 144, 48, True, Hardswish, 1),
    (5, 288, 96, True, Hardswish, 2),
    (5, 576, 96, True, Hardswish, 1),
    (5, 576, 96, True, Hardswish, 1),
)


def inverted_bottleneck(
    inputs: int,
    width: int,
    outputs: int,
    *,
    kernel: int,
    stride: int,
    activation: Callable[[], nnx.Module],
    norm: Callable[..., nnx.Module],
    squeeze: Callable[..., nnx.Module] | None,
    same: bool = False,
    **options: Unpack[Options],
) -> Sequential:
    """Widen by a 1x1 kernel (unless it is wide already), filter each channel by itself, `squeeze` and excite if
    asked, and narrow by a 1x1 kernel without activation. EfficientNet has it, too.
    """
    shared = {"norm": norm, "same": same, **options}
    layers: list[nnx.Module] = []
    if width != inputs:
        layers.append(ConvNormActivation(inputs, width, 1, activation=activation, **shared))
    layers.append(
        ConvNormActivation(width, width, kernel, stride=stride, groups=width, activation=activation, **shared)
    )
    if squeeze is not None:
        layers.append(squeeze(width, **options))
    layers.append(ConvNormActivation(width, outputs, 1, activation=None, **shared))
    return Sequential(layers)


class InvertedResidual(nnx.Module):
    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        kernel: int,
        squeeze: bool,
        activation: Callable[[], nnx.Module],
        stride: int,
        **options: Unpack[Options],
    ):
        excite = partial(
            SqueezeExcitation, squeezed=multiple_of_eight(width // 4), scale_activation=Hardsigmoid
        )
        self.block = inverted_bottleneck(
            inputs,
            width,
            outputs,
            kernel=kernel,
            stride=stride,
            activation=activation,
            norm=Norm,
            squeeze=excite if squeeze else None,
            **options,
        )
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(nnx.Module):
    """`hidden`: outputs of the first of the two fully connected layers."""

    def __init__(self, *, blocks: tuple, hidden: int, num_classes: int, **options: Unpack[Options]):
        inputs = 16
        outer = partial(ConvNormActivation, activation=Hardswish, norm=Norm, **options)
        layers: list[nnx.Module] = [outer(3, inputs, 3, stride=2)]
        for kernel, width, outputs, squeeze, activation, stride in blocks:
            layers.append(
                InvertedResidual(
                    inputs,
                    width,
                    outputs,
                    kernel=kernel,
                    squeeze=squeeze,
                    activation=activation,
                    stride=stride,
                    **options,
                )
            )
            inputs = outputs
        layers.append(outer(inputs, 6 * inputs, 1))
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool(1)
        self.classifier = Sequential(
            [
                Linear(6 * inputs, hidden, **options),
                Hardswish(),
                dropout(0.2),
                Linear(hidden, num_classes, **options),
            ]
        )

    def __call__(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


ARCHITECTURES = {
    "mobilenet_v3_large": Architecture(
        model=MobileNetV3, options={"blocks": LARGE, "hidden": 1280}, layer="features"
    ),
    "mobilenet_v3_small": Architecture(
        model=MobileNetV3, options={"blocks": SMALL, "hidden": 1024}, layer="features"
    ),
}
