"""What GoogLeNet and Inception v3 have in common.

Both were published with auxiliary heads, which only training uses: the models here have none, the converters drop
theirs, and what `converters.to_torch` gives fits torchvision's models built with `aux_logits=False`.
"""

from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx

from ._conv import Conv, check_map
from ._layers import BatchNorm
from ._options import Options
from ._preprocess import IMAGENET


class BasicConv(nnx.Module):
    """Convolution (padded to keep the size at stride 1, unless `padded` is False), batch norm, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padded: bool = True,
        **options: Unpack[Options],
    ):
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2, columns // 2) if padded else 0
        self.conv = Conv(inputs, outputs, kernel, stride=stride, padding=padding, bias=False, **options)
        self.bn = BatchNorm(outputs, epsilon=1e-3, **options)

    def __call__(self, x):
        return jax.nn.relu(self.bn(self.conv(x)))


def transform_input(x):
    """From ImageNet's mean and deviation to the 0.5 and 0.5 that the published weights were trained with."""
    check_map(x, 3)
    mean, std = (jnp.asarray(each, x.dtype).reshape(1, 1, 1, 3) for each in (IMAGENET.mean, IMAGENET.std))
    return x * (std / 0.5) + (mean - 0.5) / 0.5
