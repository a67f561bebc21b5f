"""Pooling with torch's rules for sizes and borders."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from ._conv import check_map, output_size


class MaxPool(nnx.Module):
    """The largest value under a square window; the border counts as -inf.

    With `ceil`, a last window that only partly covers the map counts too (torch's `ceil_mode`).
    """

    def __init__(self, window: int, *, stride: int, padding: int = 0, ceil: bool = False):
        self.window, self.stride, self.padding, self.ceil = window, stride, padding, ceil

    def __call__(self, x):
        check_map(x)
        window, strides, padding = (self.window,) * 2, (self.stride,) * 2, ((self.padding,) * 2,) * 2
        out = output_size(x.shape[1:3], window, strides, padding, ceil=self.ceil)
        # A window that hangs over the border (ceil) needs more of it.
        covers = ((n - 1) * self.stride + self.window - self.padding for n in out)
        pads = [
            (self.padding, max(cover - n, self.padding))
            for cover, n in zip(covers, x.shape[1:3], strict=True)
        ]
        # A NumPy constant: JAX knows a max pool, and its gradient, by a concrete start value.
        lowest = np.array(-np.inf, x.dtype)
        return lax.reduce_window(
            x, lowest, lax.max, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
        )


class AdaptiveAvgPool(nnx.Module):
    """The mean over `size` x `size` nearly equal, possibly overlapping cells, of a map of any size."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, x):
        check_map(x)
        if x.shape[1:3] == (self.size, self.size):
            return x
        if self.size == 1:
            return x.mean((1, 2), keepdims=True)
        rows, columns = (jnp.asarray(_cells(n, self.size)) for n in x.shape[1:3])
        # Two small products with constant matrices, in full precision: an accelerator's default would round
        # the means to bfloat16.
        pooled = jnp.einsum(
            "ih,bhwc,jw->bijc", rows, x.astype(rows.dtype), columns, precision=lax.Precision.HIGHEST
        )
        return pooled.astype(x.dtype)


def _cells(inputs: int, outputs: int) -> np.ndarray:
    """(outputs, inputs) weights: cell i averages floor(i * in / out) to ceil((i + 1) * in / out)."""
    weights = np.zeros((outputs, inputs), np.float32)
    for i in range(outputs):
        start, stop = i * inputs // outputs, -(-(i + 1) * inputs // outputs)
        weights[i, start:stop] = 1 / (stop - start)
    return weights


class AvgPool(nnx.Module):
    """The mean under a square window; the border counts as zeros (torch's `count_include_pad`)."""

    def __init__(self, window: int, *, stride: int, padding: int = 0):
        self.window, self.stride, self.padding = window, stride, padding

    def __call__(self, x):
        check_map(x)
        window, strides, border = (self.window,) * 2, (self.stride,) * 2, (self.padding, self.padding)
        output_size(x.shape[1:3], window, strides, (border, border))  # raises where the window does not fit
        # Summed in float32 at least, as torch does.
        wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
        total = lax.reduce_window(
            wide,
            np.array(0, wide.dtype),
            lax.add,
            (1, *window, 1),
            (1, *strides, 1),
            ((0, 0), border, border, (0, 0)),
        )
        return (total / self.window**2).astype(x.dtype)


class HalvingMean(nnx.Module):
    """The mean of each square of four positions; at an odd border, of the two or the one that are there."""

    def __call__(self, x):
        check_map(x)
        height, width = x.shape[1:3]
        wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
        border = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
        total = lax.reduce_window(wide, np.array(0, wide.dtype), lax.add, (1, 2, 2, 1), (1, 2, 2, 1), border)
        rows, columns = (np.minimum(2, n - np.arange(0, n, 2)) for n in (height, width))
        counts = np.asarray(rows[:, None] * columns[None], wide.dtype).reshape(1, len(rows), len(columns), 1)
        return (total / counts).astype(x.dtype)
