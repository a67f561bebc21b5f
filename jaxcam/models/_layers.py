"""Layers that several families share. All are NHWC and take a batch.

Every layer that holds parameters is an `nnx.Conv`, `nnx.Linear`, `nnx.BatchNorm` or `nnx.LayerNorm`, or keeps them
under torch's names and in torch's layout: a converter needs to know only those four. Layers without parameters are
modules as well, so that a path can name any (`features.29`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ._conv import Conv


class Sequential(nnx.List):
    """Modules (or plain functions) called one after another, addressed by number: `features.3`."""

    def __call__(self, x):
        for layer in self:
            x = layer(x)
        return x


class Linear(nnx.Linear):
    """A fully connected layer whose input may be a flattened feature map.

    `flattened` is the map's `(height, width, channels)` before it was flattened, or None. torch flattens
    channels first, these models channels last; a converter reads `flattened` to permute the rows once.
    """

    def __init__(
        self, inputs: int, outputs: int, *, flattened: tuple[int, int, int] | None = None, **options: Any
    ):
        super().__init__(inputs, outputs, **options)
        self.flattened = flattened


class BatchNorm(nnx.BatchNorm):
    """Batch norm that starts in eval mode and there, as torch does, is one multiply-add of folded vectors.

    The folding is in float32 whatever the compute dtype: a bfloat16 `rsqrt` has two digits only.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, **options: Any):
        # torch's momentum of 0.1 weighs the new value, Flax's weighs the old one.
        super().__init__(channels, use_running_average=True, momentum=0.9, epsilon=epsilon, **options)

    def __call__(self, x, use_running_average: bool | None = None, *, mask=None):
        running = self.use_running_average if use_running_average is None else use_running_average
        if not running:
            return super().__call__(x, running, mask=mask)
        mean, var, scale, bias = (
            v[...].astype(jnp.float32)  # pyright: ignore[reportOptionalSubscript]
            for v in (self.mean, self.var, self.scale, self.bias)
        )
        scale = scale * jax.lax.rsqrt(var + self.epsilon)
        bias = bias - mean * scale
        dtype = self.dtype or x.dtype
        return x.astype(dtype) * _per_channel(scale, x.ndim, dtype) + _per_channel(bias, x.ndim, dtype)


def _per_channel(vector, rank: int, dtype):
    return vector.astype(dtype).reshape((1,) * (rank - 1) + (-1,))


class Relu(nnx.Module):
    """`max(x, 0)` with gradient 0 at 0."""

    def __call__(self, x):
        return jax.nn.relu(x)


class Relu6(nnx.Module):
    """`min(max(x, 0), 6)` with gradient 0 at 0 and at 6, as torch has it (`jax.nn.relu6` has 0.5 there)."""

    def __call__(self, x):
        return jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x))


def dropout(rate: float) -> nnx.Dropout:
    """A dropout that does nothing and holds no random state until a training loop gives it some."""
    return nnx.Dropout(rate, deterministic=True)


class ConvNormActivation(Sequential):
    """Convolution `0` (padded to keep the size at stride 1), batch norm `1`, activation `2`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, activation=Relu6, groups=1, stride=1, **options
    ):
        super().__init__(
            [
                Conv(
                    inputs,
                    outputs,
                    kernel,
                    padding=kernel // 2,
                    groups=groups,
                    stride=stride,
                    bias=False,
                    **options,
                ),
                BatchNorm(outputs, **options),
                activation(),
            ]
        )
