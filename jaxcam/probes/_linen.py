"""A Flax Linen module as a probe sees it: a submodule by path, without an edit to the model."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
from flax import errors, linen
from jax.extend.core import Jaxpr
from jaxtyping import Array, PyTree

from .._errors import never_called, unknown
from ._layers import INPUT, Layer, hash_of, input_layer, parsed
from ._marks import mark, mark_layer
from ._modes import in_training
from ._walk import Inputs, Walk, walk

# What `nn.jit` traced before, without the marks, is not taken from its cache while a probe looks.
_probing = jax.make_user_context(default_value=False)


@dataclasses.dataclass(frozen=True)
class Linen:
    """Submodules of a Linen module. The probe's parameters are the module's variables.

    While the model's program is made, every submodule's output is marked with the submodule's path.
    """

    module: linen.Module
    layers: tuple[Layer, ...]
    call: tuple[tuple[str, Any], ...] = ()
    tokens: int | None = None
    method: str = "__call__"

    def __repr__(self) -> str:
        return ", ".join(layer.label for layer in self.layers)

    def __hash__(self) -> int:
        return hash_of(self.module, self.layers, self.call, self.tokens, self.method)

    def program(self, parameters: PyTree, inputs: Inputs, images: Array) -> tuple[Any, dict]:
        positional, named = inputs
        try:
            with _probing(True), linen.intercept_methods(self._mark_output):
                output = self.module.apply(
                    parameters, images, *positional, **named, **dict(self.call), method=self.method
                )
                return output, {}
        except errors.FlaxError as error:
            raise ValueError(self._explained(parameters, error)) from error

    def _explained(self, variables: PyTree, error: errors.FlaxError) -> str:
        """What Flax says of variables and random generators, as a mistake in how the probe was made."""
        kind = type(self.module)
        if isinstance(error, errors.ModifyScopeVariableError) and "batch_stats" in str(error):
            return in_training(kind, "a batch norm")
        if isinstance(error, errors.InvalidRngError) and '"params"' not in str(error):
            return in_training(kind, "a dropout (or another random layer)")
        if isinstance(variables, Mapping) and variables and "params" not in variables:
            names = ", ".join(map(repr, list(variables)[:4]))
            return f"variables= has no 'params' but {names}: pass the whole of what model.init returned"
        return str(error)

    def check(self, program: Jaxpr, parameters: PyTree, after: dict) -> None:
        pass

    def missing(self, parameters: PyTree, layer: Layer, names: list[tuple[str, ...]]) -> str:
        if layer.name in _with_variables(parameters):
            return never_called(layer.who)
        return unknown("layer", layer.label, [".".join(path) for path in sorted(names, key=len)])

    def only(self, layer: Layer) -> "Linen":
        return dataclasses.replace(self, layers=(layer,))

    def walk(self, parameters: PyTree, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)

    def _mark_output(self, following, arguments, options, context):
        returned, path = following(*arguments, **options), context.module.path
        if context.method_name != "__call__" or not path:
            return returned
        if layer := next((each for each in self.layers if each.name == path), None):
            return mark_layer(returned, path, layer.who)
        return mark(returned, path) if isinstance(returned, jax.Array) else returned


def linen_layer(label: str, *, alone: bool = True) -> Layer:
    """`"layer4.conv2"` or `"layer4/conv2"`, as Linen has it; `"block[1]"` is the second call, or slice of a scan."""
    if label == INPUT:
        return input_layer()
    written, call, leaf = parsed(label)
    path = tuple(re.split(r"[./]", written))
    exact = ".".join(path) + (f"[{call}]" if call is not None else "") + (f":{leaf}" if leaf else "")
    return Layer(exact if alone else label, path, call, leaf)


def _with_variables(variables: PyTree) -> set[tuple[str, ...]]:
    """Paths of the modules that have variables, or whose parts do."""
    found = set()
    for where, _ in jax.tree_util.tree_leaves_with_path(variables):
        _, *path, _ = (str(getattr(step, "key", step)) for step in where)
        found |= {tuple(path[:depth]) for depth in range(1, len(path) + 1)}
    return found
