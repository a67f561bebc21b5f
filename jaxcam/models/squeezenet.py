"""SqueezeNet 1.0 and 1.1 (Iandola et al., 2016, arXiv:1602.07360) as in torchvision."""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._conv import Conv
from ._layers import Relu, Sequential, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool, MaxPool


class Fire(nnx.Module):
    """Squeeze to a few channels, then expand by 1x1 and by 3x3 kernels side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int, **options: Unpack[Options]):
        self.squeeze = Conv(inputs, squeeze, 1, **options)
        self.squeeze_activation = Relu()
        self.expand1x1 = Conv(squeeze, expand, 1, **options)
        self.expand1x1_activation = Relu()
        self.expand3x3 = Conv(squeeze, expand, 3, padding=1, **options)
        self.expand3x3_activation = Relu()

    def __call__(self, x):
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return jnp.concatenate([narrow, wide], axis=-1)


# The stem's outputs and kernel, then the fires as (squeeze, expand each) with None for a pool.
VERSIONS = {
    "1_0": (
        (96, 7),
        ((16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256)),
    ),
    "1_1": (
        (64, 3),
        ((16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256)),
    ),
}


class SqueezeNet(nnx.Module):
    def __init__(self, *, version: str, num_classes: int, **options: Unpack[Options]):
        (inputs, kernel), fires = VERSIONS[version]
        layers = [Conv(3, inputs, kernel, stride=2, **options), Relu(), MaxPool(3, stride=2, ceil=True)]
        for fire in fires:
            if fire is None:
                layers.append(MaxPool(3, stride=2, ceil=True))
            else:
                layers.append(Fire(inputs, *fire, **options))
                inputs = 2 * fire[1]
        self.features = Sequential(layers)
        self.classifier = Sequential(
            [dropout(0.5), Conv(512, num_classes, 1, **options), Relu(), AdaptiveAvgPool(1)]
        )

    def __call__(self, x):
        x = self.classifier(self.features(x))
        return x.reshape(x.shape[0], -1)


ARCHITECTURES = {
    f"squeezenet{version}": Architecture(model=SqueezeNet, options={"version": version}, layer="features")
    for version in VERSIONS
}
