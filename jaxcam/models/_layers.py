"""Layers that several families share. All are NHWC and take a batch.

Every layer that holds parameters is an `nnx.Conv`, `nnx.Linear`, `nnx.BatchNorm` or `nnx.LayerNorm`, or keeps them
under torch's names and in torch's layout: a converter needs to know only those four. Layers without parameters are
modules as well, so that a path can name any (`features.29`).
"""

from collections.abc import Callable, Mapping
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx

from ._conv import Conv
from ._options import Options


class Sequential(nnx.List):
    """Modules (or plain functions) called one after another, addressed by number: `features.3`."""

    def __call__(self, x):
        for layer in self:
            x = layer(x)
        return x


class NamedSequential(nnx.Module):
    """Modules called one after another, addressed by name: `features.norm5`.

    The order is kept apart: a module rebuilt from its state holds its attributes by name, "layer10" before "layer2".
    """

    def __init__(self, layers: Mapping[str, nnx.Module]):
        self.order = tuple(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __iter__(self):
        return (getattr(self, name) for name in self.order)

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
        self,
        inputs: int,
        outputs: int,
        *,
        flattened: tuple[int, int, int] | None = None,
        use_bias: bool = True,
        **options: Unpack[Options],
    ):
        super().__init__(inputs, outputs, use_bias=use_bias, **options)  # pyright: ignore[reportArgumentType]
        self.flattened = flattened


class BatchNorm(nnx.BatchNorm):
    """Batch norm that starts in eval mode and there, as torch does, is one multiply-add of folded vectors.

    The folding is in float32 whatever the compute dtype: a bfloat16 `rsqrt` has two digits only.
    `momentum` weighs the old statistics, as in Flax: torch's 0.1, which weighs the new ones, is 0.9 here.
    """

    def __init__(
        self, channels: int, *, epsilon: float = 1e-5, momentum: float = 0.9, **options: Unpack[Options]
    ):
        super().__init__(
            channels,
            use_running_average=True,
            momentum=momentum,
            epsilon=epsilon,
            **options,  # pyright: ignore[reportArgumentType]
        )

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


class LayerNorm(nnx.LayerNorm):
    """Layer norm over the channels, in float32 at least, its variance from centred values as in torch.

    Flax's own mixes dtypes, which strict promotion refuses.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, **options: Unpack[Options]):
        super().__init__(channels, epsilon=epsilon, **options)  # pyright: ignore[reportArgumentType]

    def __call__(self, x, *, mask=None):
        if mask is not None:
            raise ValueError("this layer norm takes no mask")
        wide = x.astype(jnp.float32 if x.dtype.itemsize < 4 else x.dtype)
        centred = wide - wide.mean(-1, keepdims=True)
        y = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + self.epsilon)
        scale, bias = (
            _per_channel(v[...], x.ndim, wide.dtype)  # pyright: ignore[reportOptionalSubscript]
            for v in (self.scale, self.bias)
        )
        return (y * scale + bias).astype(self.dtype or x.dtype)


class Relu(nnx.Module):
    """`max(x, 0)` with gradient 0 at 0."""

    def __call__(self, x):
        return jax.nn.relu(x)


class Relu6(nnx.Module):
    """`min(max(x, 0), 6)` with gradient 0 at 0 and at 6, as torch has it (`jax.nn.relu6` has 0.5 there)."""

    def __call__(self, x):
        return jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x))


class Sigmoid(nnx.Module):
    def __call__(self, x):
        return jax.nn.sigmoid(x)


class Silu(nnx.Module):
    """`x * sigmoid(x)`, also called swish."""

    def __call__(self, x):
        return jax.nn.silu(x)


class Gelu(nnx.Module):
    """`x` times the normal distribution function of `x`: the exact form, not that by tanh."""

    def __call__(self, x):
        return jax.nn.gelu(x, approximate=False)


class GeluTanh(nnx.Module):
    """GELU in its approximate form, by tanh."""

    def __call__(self, x):
        return jax.nn.gelu(x, approximate=True)


class QuickGelu(nnx.Module):
    """`x * sigmoid(1.702 x)`: CLIP's GELU."""

    def __call__(self, x):
        return x * jax.nn.sigmoid(1.702 * x)


class Hardsigmoid(Relu6):
    """`relu6(x + 3) / 6`."""

    def __call__(self, x):
        return super().__call__(x + 3) / 6


class Hardswish(Hardsigmoid):
    """`x * relu6(x + 3) / 6`."""

    def __call__(self, x):
        return x * super().__call__(x)


class Permute(nnx.Module):
    """Does nothing: torch puts the channels last here, where these models' always are."""

    def __call__(self, x):
        return x


class Flatten(nnx.Module):
    """A pooled map (B, 1, 1, C) to (B, C)."""

    def __call__(self, x):
        return x.reshape(x.shape[0], -1)


def dropout(rate: float) -> nnx.Dropout:
    """A dropout that does nothing and holds no random state until a training loop gives it some."""
    return nnx.Dropout(rate, deterministic=True)


def stochastic_depth(rate: float) -> nnx.Dropout:
    """A dropout of whole maps (B, H, W, C), an image's at once; like `dropout`, it does nothing until it trains."""
    return nnx.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=True)


class ConvNormActivation(Sequential):
    """Convolution `0` (padded to keep the size at stride 1), batch norm `1`, and activation `2` if there is one.

    `same` pads by TensorFlow's rule, which at stride 2 is another.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        activation: Callable[[], nnx.Module] | None = Relu6,
        norm: Callable[..., nnx.Module] = BatchNorm,
        groups: int = 1,
        stride: int = 1,
        same: bool = False,
        **options: Unpack[Options],
    ):
        padding = "SAME" if same else kernel // 2
        layers = [
            Conv(
                inputs,
                outputs,
                kernel,
                padding=padding,
                groups=groups,
                stride=stride,
                bias=False,
                **options,
            ),
            norm(outputs, **options),
        ]
        super().__init__(layers if activation is None else [*layers, activation()])


def multiple_of_eight(channels: int | float) -> int:
    """The nearest multiple of eight that is at least nine tenths of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
