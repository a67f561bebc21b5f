"""The convolution of all models: torch's arguments, and the form that is fast where it runs."""

from functools import partial
from typing import Literal, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ._options import Options

HE_NORMAL = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class Conv(nnx.Conv):
    """A 2-D convolution with torch's arguments: `kernel` and `padding` are a number or (rows, columns).

    With the padding "SAME" the output has ⌈size / stride⌉ positions, as in TensorFlow: where the border is odd, it is
    one wider below and to the right.

    Three forms of one operation, the same number of FLOPs each:
    - a 1x1 kernel is a matrix product, which XLA's CPU backend runs faster than its convolution;
    - a depthwise kernel is, on a CPU, a sum of shifted products (XLA's own is tens of times slower there) and
      the native operation elsewhere. The choice is made when the program is lowered, not when it is traced,
      so one traced program may be exported for several platforms;
    - every other kernel is the native operation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] | Literal["SAME"] = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        **options: Unpack[Options],
    ):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if padding == "SAME":
            border = padding
        else:
            rows, columns = (padding, padding) if isinstance(padding, int) else padding
            border = ((rows, rows), (columns, columns))
        super().__init__(
            inputs,
            outputs,
            kernel,
            strides=(stride, stride),
            padding=border,
            kernel_dilation=(dilation, dilation),
            feature_group_count=groups,
            use_bias=bias,
            kernel_init=HE_NORMAL,
            **options,  # pyright: ignore[reportArgumentType]
        )

    def __call__(self, x, out_sharding=None):
        check_map(x, self.in_features)
        padding = self._border(x.shape[1:3])
        output_size(x.shape[1:3], self.kernel_size, self.strides, padding, self.kernel_dilation)
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = self.promote_dtype((x, self.kernel[...], bias), dtype=self.dtype)
        if self.kernel_size == (1, 1) and self.feature_group_count == 1 and padding == ((0, 0), (0, 0)):
            y = self._pointwise(x, kernel)
        else:
            depthwise = self.feature_group_count == self.in_features == self.out_features
            convolve = _depthwise if depthwise else _native
            y = convolve(
                x,
                kernel,
                strides=self.strides,
                padding=padding,
                dilation=self.kernel_dilation,
                groups=self.feature_group_count,
                precision=self.precision,
            )
        return y if bias is None else y + bias.reshape(1, 1, 1, -1)

    def _border(self, size) -> tuple[tuple[int, int], ...]:
        """Rows above and below, columns left and right, that are added to a map of this size."""
        if self.padding != "SAME":
            return self.padding  # pyright: ignore[reportReturnType]  (pairs: __init__ made them)
        strides, dilation = self.strides, self.kernel_dilation
        assert isinstance(strides, tuple)  # pairs: __init__ made them
        assert isinstance(dilation, tuple)
        covered = [(n - 1) * step + 1 for n, step in zip(self.kernel_size, dilation, strict=True)]
        pads = lax.padtype_to_pads(size, covered, strides, "SAME")
        return tuple((int(low), int(high)) for low, high in pads)

    def _pointwise(self, x, kernel):
        down, right = self.strides  # pyright: ignore[reportGeneralTypeIssues]  (a pair: __init__ made it)
        x = x[:, ::down, ::right]
        return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())), precision=self.precision)


# Compiled as one: outside jit its many slices would be dispatched, and compiled, one by one.
@partial(jax.jit, static_argnames=("strides", "padding", "dilation", "groups", "precision"))
def _depthwise(x, kernel, **geometry):
    shifted, native = (partial(form, **geometry) for form in (_shifted, _native))
    return lax.platform_dependent(x, kernel, cpu=shifted, default=native)


def _native(x, kernel, *, strides, padding, dilation, groups, precision):
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=precision,
    )


def _shifted(x, kernel, *, strides, padding, dilation, groups, precision):
    del groups, precision  # one per channel, and no product of matrices
    rows, columns, _, channels = kernel.shape
    size = output_size(x.shape[1:3], (rows, columns), strides, padding, dilation)
    # The native operation sums in float32 at least.
    dtype, wide = x.dtype, jnp.float32 if x.dtype.itemsize < 4 else x.dtype
    x, kernel = jnp.pad(x, ((0, 0), *padding, (0, 0))).astype(wide), kernel.astype(wide)
    total = jnp.zeros((x.shape[0], *size, channels), wide)
    for row in range(rows):
        for column in range(columns):
            start = row * dilation[0], column * dilation[1]
            stop = (at + (n - 1) * step + 1 for at, n, step in zip(start, size, strides, strict=True))
            seen = lax.slice(x, (0, *start, 0), (x.shape[0], *stop, channels), (1, *strides, 1))
            total = total + seen * kernel[row, column].reshape(1, 1, 1, channels)
    return total.astype(dtype)


def check_map(x, channels: int | None = None) -> None:
    """Raise unless `x` is a batch of float maps `(B, H, W, C)` with that number of channels."""
    if x.ndim != 4 or (channels is not None and x.shape[3] != channels):
        expected = f"(B, H, W, {'C' if channels is None else channels})"
        raise ValueError(f"expected a batch {expected}, channels last; got shape {tuple(x.shape)}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"expected floating point values (see models.preprocess), got {x.dtype}")


def output_size(size, window, strides, padding, dilation=(1, 1), *, ceil: bool = False) -> tuple[int, int]:
    """Height and width after a convolution or a pool over `size`, by torch's rule.

    Raises ValueError where the window does not fit: the image was too small for the model.
    """
    sizes = []
    for n, k, step, (low, high), d in zip(size, window, strides, padding, dilation, strict=True):
        room = n + low + high - d * (k - 1) - 1
        out = (-(-room // step) if ceil else room // step) + 1
        if out < 1:
            raise ValueError(
                f"a {size[0]}x{size[1]} map is smaller than the {window[0]}x{window[1]} window over it: "
                "the image is too small for this model"
            )
        # torch drops a last window that would start in the padding.
        sizes.append(out - 1 if ceil and (out - 1) * step >= n + low else out)
    return tuple(sizes)
