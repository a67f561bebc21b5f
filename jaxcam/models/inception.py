"""Inception v3 (Szegedy et al., 2016, arXiv:1512.00567) as in torchvision, without the auxiliary head."""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._inception import BasicConv, transform_input
from ._layers import Linear, dropout
from ._options import Options
from ._pool import AdaptiveAvgPool, AvgPool, MaxPool
from ._preprocess import Preprocess

# The steps of each branch: outputs and kernel, or two kernels for two convolutions side by side.
Branches = dict[str, tuple[tuple, ...]]

ROW, COLUMN = (1, 7), (7, 1)
BLOCK_B: Branches = {"branch3x3": ((384, 3),), "branch3x3dbl": ((64, 1), (96, 3), (96, 3))}
BLOCK_D: Branches = {
    "branch3x3": ((192, 1), (320, 3)),
    "branch7x7x3": ((192, 1), (192, ROW), (192, COLUMN), (192, 3)),
}
BLOCK_E: Branches = {
    "branch1x1": ((320, 1),),
    "branch3x3": ((384, 1), (384, (1, 3), (3, 1))),
    "branch3x3dbl": ((448, 1), (384, 3), (384, (1, 3), (3, 1))),
    "branch_pool": ((192, 1),),
}


def _block_a(pooled: int) -> Branches:
    return {
        "branch1x1": ((64, 1),),
        "branch5x5": ((48, 1), (64, 5)),
        "branch3x3dbl": ((64, 1), (96, 3), (96, 3)),
        "branch_pool": ((pooled, 1),),
    }


def _block_c(width: int) -> Branches:
    return {
        "branch1x1": ((192, 1),),
        "branch7x7": ((width, 1), (width, ROW), (192, COLUMN)),
        "branch7x7dbl": ((width, 1), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW)),
        "branch_pool": ((192, 1),),
    }


class Mixed(nnx.Module):
    """Branches side by side, the last of them behind a pool.

    In a block that halves the map the last step of a branch strides, unpadded, and the last branch is a pool of
    maxima and nothing else. In all others that pool takes means, and `branch_pool` follows it.
    """

    def __init__(self, inputs: int, branches: Branches, *, halves: bool = False, **options: Unpack[Options]):
        self.pool = MaxPool(3, stride=2) if halves else AvgPool(3, stride=1, padding=1)
        chains = []
        for branch, steps in branches.items():
            chain: list[tuple[str, ...]] = [("pool",)] if branch == "branch_pool" else []
            width = inputs
            for number, (channels, *kernels) in enumerate(steps, 1):
                strides = halves and number == len(steps)
                names = _names(branch if len(steps) == 1 else f"{branch}_{number}", len(kernels))
                for name, kernel in zip(names, kernels, strict=True):
                    conv = BasicConv(
                        width, channels, kernel, stride=1 + strides, padded=not strides, **options
                    )
                    setattr(self, name, conv)
                chain.append(names)
                width = channels * len(kernels)
            chains.append(tuple(chain))
        if halves:
            chains.append((("pool",),))
        self.chains = tuple(chains)

    def __call__(self, x):
        return jnp.concatenate([self._run(chain, x) for chain in self.chains], axis=-1)

    def _run(self, chain, x):
        for names in chain:
            x = jnp.concatenate([getattr(self, name)(x) for name in names], axis=-1)
        return x


def _names(step: str, count: int) -> tuple[str, ...]:
    return (step,) if count == 1 else (f"{step}a", f"{step}b")


class InceptionV3(nnx.Module):
    """`transformed`: images come with ImageNet's mean and deviation, and are given those of the published weights."""

    def __init__(self, *, transformed: bool = True, num_classes: int, **options: Unpack[Options]):
        self.transformed = transformed
        self.Conv2d_1a_3x3 = BasicConv(3, 32, 3, stride=2, padded=False, **options)
        self.Conv2d_2a_3x3 = BasicConv(32, 32, 3, padded=False, **options)
        self.Conv2d_2b_3x3 = BasicConv(32, 64, 3, **options)
        self.maxpool1 = MaxPool(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv(64, 80, 1, **options)
        self.Conv2d_4a_3x3 = BasicConv(80, 192, 3, padded=False, **options)
        self.maxpool2 = MaxPool(3, stride=2)
        self.Mixed_5b = Mixed(192, _block_a(32), **options)
        self.Mixed_5c = Mixed(256, _block_a(64), **options)
        self.Mixed_5d = Mixed(288, _block_a(64), **options)
        self.Mixed_6a = Mixed(288, BLOCK_B, halves=True, **options)
        self.Mixed_6b = Mixed(768, _block_c(128), **options)
        self.Mixed_6c = Mixed(768, _block_c(160), **options)
        self.Mixed_6d = Mixed(768, _block_c(160), **options)
        self.Mixed_6e = Mixed(768, _block_c(192), **options)
        self.Mixed_7a = Mixed(768, BLOCK_D, halves=True, **options)
        self.Mixed_7b = Mixed(1280, BLOCK_E, **options)
        self.Mixed_7c = Mixed(2048, BLOCK_E, **options)
        self.avgpool = AdaptiveAvgPool(1)
        self.dropout = dropout(0.5)
        self.fc = Linear(2048, num_classes, **options)

    def __call__(self, x):
        x = transform_input(x) if self.transformed else x
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))
        x = self.maxpool1(self.Conv2d_2b_3x3(x))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        x = self.avgpool(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))))
        return self.fc(self.dropout(x.reshape(x.shape[0], -1)))


ARCHITECTURES = {
    "inception_v3": Architecture(
        model=InceptionV3, layer="Mixed_7c", preprocess=Preprocess(resize=342, size=299)
    )
}
