"""VGG with and without batch norm (Simonyan and Zisserman, 2015, arXiv:1409.1556) as in torchvision."""

from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import BatchNorm, Linear, Relu, Sequential, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool, MaxPool

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nnx.Module):
    """`depths`: convolutions in each of the five stages, which a pool ends."""

    def __init__(
        self, *, depths: tuple[int, ...], batch_norm: bool, num_classes: int, **options: Unpack[Options]
    ):
        layers, inputs = [], 3
        for width, depth in zip(WIDTHS, depths, strict=True):
            for _ in range(depth):
                norm = [BatchNorm(width, **options)] if batch_norm else []
                layers += [Conv(inputs, width, 3, padding=1, **options), *norm, Relu()]
                inputs = width
            layers.append(MaxPool(2, stride=2))
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool(7)
        self.classifier = Sequential(
            [
                Linear(512 * 7 * 7, 4096, flattened=(7, 7, 512), **options),
                Relu(),
                dropout(0.5),
                Linear(4096, 4096, **options),
                Relu(),
                dropout(0.5),
                Linear(4096, num_classes, **options),
            ]
        )

    def __call__(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


def default_layer(depths: tuple[int, ...], batch_norm: bool) -> str:
    """The last ReLU, before the last pool: 14x14 positions instead of 7x7, and no negative evidence."""
    layers = sum(depths) * (3 if batch_norm else 2) + len(depths)
    return f"features.{layers - 2}"


def _architecture(depths: tuple[int, ...], batch_norm: bool) -> Architecture:
    options = {"depths": depths, "batch_norm": batch_norm}
    return Architecture(model=VGG, options=options, layer=default_layer(depths, batch_norm))


ARCHITECTURES = {
    f"vgg{size}{suffix}": _architecture(depths, bool(suffix))
    for size, depths in DEPTHS.items()
    for suffix in ("", "_bn")
}
