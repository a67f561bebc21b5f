"""RegNetX and RegNetY (Radosavovic et al., 2020, arXiv:2003.13678) as in torchvision."""

from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._layers import ConvNormActivation, Linear, NamedSequential, Relu
from ._options import Options
from ._pool import AdaptiveAvgPool
from ._preprocess import IMAGENET, SWAG_E2E
from ._squeeze_excitation import SqueezeExcitation

# Blocks and widths of the four stages, and channels in a group of the 3x3 convolution: what the paper's rule
# (a straight line of widths, quantised) gives for each size.
SIZES = {
    "x_400mf": ((1, 2, 7, 12), (32, 64, 160, 400), 16),
    "x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "x_1_6gf": ((2, 4, 10, 2), (72, 168, 408, 912), 24),
    "x_3_2gf": ((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    "x_8gf": ((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    "x_16gf": ((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    "x_32gf": ((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
    "y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "y_800mf": ((1, 3, 8, 2), (64, 144, 320, 784), 16),
    "y_1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
    "y_3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512), 24),
    "y_8gf": ((2, 4, 10, 1), (224, 448, 896, 2016), 56),
    "y_16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112),
    "y_32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712), 232),
    "y_128gf": ((2, 7, 17, 1), (528, 1056, 2904, 7392), 264),
}


class Bottleneck(nnx.Module):
    """1x1, grouped 3x3 and 1x1 kernels of one width; Y's excitation is squeezed to a quarter of the inputs."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        group_width: int,
        squeeze: bool,
        **options: Unpack[Options],
    ):
        groups = outputs // min(group_width, outputs)
        self.a = ConvNormActivation(inputs, outputs, 1, activation=Relu, **options)
        self.b = ConvNormActivation(
            outputs, outputs, 3, stride=stride, groups=groups, activation=Relu, **options
        )
        self.se = SqueezeExcitation(outputs, round(inputs / 4), **options) if squeeze else None
        self.c = ConvNormActivation(outputs, outputs, 1, activation=None, **options)

    def __call__(self, x):
        x = self.b(self.a(x))
        return self.c(x if self.se is None else self.se(x))


class Block(nnx.Module):
    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        group_width: int,
        squeeze: bool,
        **options: Unpack[Options],
    ):
        changed = stride != 1 or inputs != outputs
        self.proj = (
            ConvNormActivation(inputs, outputs, 1, stride=stride, activation=None, **options)
            if changed
            else None
        )
        self.f = Bottleneck(
            inputs, outputs, stride=stride, group_width=group_width, squeeze=squeeze, **options
        )
        self.activation = Relu()

    def __call__(self, x):
        return self.activation(self.f(x) + (x if self.proj is None else self.proj(x)))


class RegNet(nnx.Module):
    """`depths`, `widths`: blocks and channels of the stages; `squeeze`: with squeeze and excitation (Y)."""

    def __init__(
        self,
        *,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        group_width: int,
        squeeze: bool,
        num_classes: int,
        **options: Unpack[Options],
    ):
        inputs, stages = 32, {}
        self.stem = ConvNormActivation(3, inputs, 3, stride=2, activation=Relu, **options)
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = {}
            for index in range(depth):
                blocks[f"block{stage}-{index}"] = Block(
                    inputs,
                    width,
                    stride=2 if index == 0 else 1,
                    group_width=group_width,
                    squeeze=squeeze,
                    **options,
                )
                inputs = width
            stages[f"block{stage}"] = NamedSequential(blocks)
        self.trunk_output = NamedSequential(stages)
        self.avgpool = AdaptiveAvgPool(1)
        self.fc = Linear(inputs, num_classes, **options)

    def __call__(self, x):
        x = self.avgpool(self.trunk_output(self.stem(x)))
        return self.fc(x.reshape(x.shape[0], -1))


def _architecture(size: str) -> Architecture:
    depths, widths, group_width = SIZES[size]
    return Architecture(
        model=RegNet,
        options={
            "depths": depths,
            "widths": widths,
            "group_width": group_width,
            "squeeze": size.startswith("y"),
        },
        layer="trunk_output",
        # The largest has no checkpoint trained on ImageNet alone: it was fine-tuned on it, with larger pictures.
        preprocess=SWAG_E2E if size == "y_128gf" else IMAGENET,
    )


ARCHITECTURES = {f"regnet_{size}": _architecture(size) for size in SIZES}
