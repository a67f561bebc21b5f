"""Where each array of a model stands in a torch state_dict and how it is turned: a rule per kind of layer."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flax import nnx

_KERNEL = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_NAMES = {
    nnx.Conv: _KERNEL,
    nnx.Linear: _KERNEL,
    nnx.BatchNorm: _NORM,
    nnx.LayerNorm: _NORM,
    nnx.GroupNorm: _NORM,
}


class Leaf(NamedTuple):
    """One array of a model: the layer that owns it, its path in the nnx state, and its variable."""

    layer: nnx.Module
    path: tuple
    variable: nnx.Variable

    @property
    def key(self) -> str:
        """The array's name in a torch state_dict: `layer1.0.bn1.running_var`."""
        *prefix, name = self.path
        names = next((names for kind, names in _NAMES.items() if isinstance(self.layer, kind)), {name: name})
        return ".".join(map(str, (*prefix, names[name])))

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape in torch's layout."""
        shape = tuple(self.variable.shape)
        return (shape[-1], shape[-2], *shape[:-2]) if self._is_kernel else shape

    @property
    def _is_kernel(self) -> bool:
        return isinstance(self.layer, nnx.Conv | nnx.Linear) and self.path[-1] == "kernel"

    def from_torch(self, x: np.ndarray) -> np.ndarray:
        """(out, in, h, w) -> (h, w, in, out); (out, in) -> (in, out); anything else as it is."""
        if not self._is_kernel:
            return x
        if flattened := getattr(self.layer, "flattened", None):
            h, w, c = flattened
            x = x.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(x.shape)
        return x.transpose(*range(2, x.ndim), 1, 0)

    def to_torch(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `from_torch`."""
        if not self._is_kernel:
            return x
        x = x.transpose(-1, -2, *range(x.ndim - 2))
        if flattened := getattr(self.layer, "flattened", None):
            h, w, c = flattened
            x = x.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(x.shape)
        return x


def buffers(model: nnx.Module) -> dict[str, np.ndarray]:
    """Arrays that a checkpoint holds though they follow from the architecture: a layer's `buffers()`, by key."""
    return {
        ".".join(map(str, (*path, name))): value
        for path, layer in nnx.iter_modules(model)
        if hasattr(layer, "buffers")
        for name, value in layer.buffers().items()  # pyright: ignore[reportAttributeAccessIssue]
    }


def leaves(model: nnx.Module) -> Iterator[Leaf]:
    """Every array of `model` that a checkpoint holds; random number generators (of dropout) are left out.

    Raises TypeError for a layer of flax that no rule covers: its arrays would be copied unturned.
    """
    layers = dict(nnx.iter_modules(model))
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        if isinstance(variable, nnx.RngState):
            continue
        layer = layers[path[:-1]]
        if type(layer).__module__.startswith("flax.") and not isinstance(
            layer, (*_NAMES, nnx.List, nnx.Dict)
        ):
            known = ", ".join(kind.__name__ for kind in _NAMES)
            where = ".".join(map(str, path[:-1]))
            raise TypeError(
                f"{where} is an nnx.{type(layer).__name__}, which has no rule; layers with one: {known}"
            )
        yield Leaf(layer, path, variable)
