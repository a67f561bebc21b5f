"""AlexNet, the one-column form (Krizhevsky, 2014, arXiv:1404.5997) as in torchvision."""

from typing import Unpack

from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import Linear, Relu, Sequential, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool, MaxPool


class AlexNet(nnx.Module):
    def __init__(self, *, num_classes: int, **options: Unpack[Options]):
        self.features = Sequential(
            [
                Conv(3, 64, 11, stride=4, padding=2, **options),
                Relu(),
                MaxPool(3, stride=2),
                Conv(64, 192, 5, padding=2, **options),
                Relu(),
                MaxPool(3, stride=2),
                Conv(192, 384, 3, padding=1, **options),
                Relu(),
                Conv(384, 256, 3, padding=1, **options),
                Relu(),
                Conv(256, 256, 3, padding=1, **options),
                Relu(),
                MaxPool(3, stride=2),
            ]
        )
        self.avgpool = AdaptiveAvgPool(6)
        self.classifier = Sequential(
            [
                dropout(0.5),
                Linear(256 * 6 * 6, 4096, flattened=(6, 6, 256), **options),
                Relu(),
                dropout(0.5),
                Linear(4096, 4096, **options),
                Relu(),
                Linear(4096, num_classes, **options),
            ]
        )

    def __call__(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


# The last ReLU, before the last pool: 13x13 positions instead of 6x6, and no negative evidence.
ARCHITECTURES = {"alexnet": Architecture(model=AlexNet, layer="features.11")}
