"""DenseNet (Huang et al., 2017, arXiv:1608.06993) as in torchvision."""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, Linear, NamedSequential, Relu
from ._options import Options
from ._pool import AdaptiveAvgPool, AvgPool, MaxPool


class DenseBlock(NamedSequential):
    """Each layer sees the block's input and the outputs of all layers before it, and adds `growth` channels."""

    def __init__(self, inputs: int, depth: int, growth: int, **options: Unpack[Options]):
        super().__init__(
            {
                f"denselayer{number + 1}": _dense_layer(inputs + number * growth, growth, **options)
                for number in range(depth)
            }
        )

    def __call__(self, x):
        for layer in self:
            x = jnp.concatenate([x, layer(x)], axis=-1)
        return x


def _dense_layer(inputs: int, growth: int, **options: Unpack[Options]) -> NamedSequential:
    return NamedSequential(
        {
            "norm1": BatchNorm(inputs, **options),
            "relu1": Relu(),
            "conv1": Conv(inputs, 4 * growth, 1, bias=False, **options),
            "norm2": BatchNorm(4 * growth, **options),
            "relu2": Relu(),
            "conv2": Conv(4 * growth, growth, 3, padding=1, bias=False, **options),
        }
    )


def _transition(inputs: int, outputs: int, **options: Unpack[Options]) -> NamedSequential:
    return NamedSequential(
        {
            "norm": BatchNorm(inputs, **options),
            "relu": Relu(),
            "conv": Conv(inputs, outputs, 1, bias=False, **options),
            "pool": AvgPool(2, stride=2),
        }
    )


class DenseNet(nnx.Module):
    """`depths`: layers in each of the four blocks; `growth`: channels that each adds to the `stem`'s."""

    def __init__(
        self,
        *,
        depths: tuple[int, ...],
        growth: int = 32,
        stem: int = 64,
        num_classes: int,
        **options: Unpack[Options],
    ):
        layers: dict[str, nnx.Module] = {
            "conv0": Conv(3, stem, 7, stride=2, padding=3, bias=False, **options),
            "norm0": BatchNorm(stem, **options),
            "relu0": Relu(),
            "pool0": MaxPool(3, stride=2, padding=1),
        }
        channels = stem
        for number, depth in enumerate(depths, 1):
            layers[f"denseblock{number}"] = DenseBlock(channels, depth, growth, **options)
            channels += depth * growth
            if number < len(depths):
                layers[f"transition{number}"] = _transition(channels, channels // 2, **options)
                channels //= 2
        layers["norm5"] = BatchNorm(channels, **options)
        self.features = NamedSequential(layers)
        self.relu = Relu()
        self.avgpool = AdaptiveAvgPool(1)
        self.classifier = Linear(channels, num_classes, **options)

    def __call__(self, x):
        x = self.avgpool(self.relu(self.features(x)))
        return self.classifier(x.reshape(x.shape[0], -1))


def _architecture(*depths: int, **options: int) -> Architecture:
    # `features` ends in a batch norm, whose negative values the ReLU behind it hides from the logits. A map of
    # them would show what the model does not see, so the ReLU, a function in torchvision, is a layer here.
    return Architecture(model=DenseNet, options={"depths": depths, **options}, layer="relu")


ARCHITECTURES = {
    "densenet121": _architecture(6, 12, 24, 16),
    "densenet161": _architecture(6, 12, 36, 24, growth=48, stem=96),
    "densenet169": _architecture(6, 12, 32, 32),
    "densenet201": _architecture(6, 12, 48, 32),
}
