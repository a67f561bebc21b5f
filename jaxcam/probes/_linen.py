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
from ._marks import Rest, mark, mark_layer, split_at_mark
from ._modes import in_training

# What `nn.jit` traced before, without the marks, is not taken from its cache while a probe looks.
_probing = jax.make_user_context(default_value=False)


@dataclasses.dataclass(frozen=True)
class Linen:
    """A submodule of a Linen module. The probe's parameters are the module's variables.

    While the model's program is made, every submodule's output is marked with the submodule's path.
    """

    module: linen.Module
    path: tuple[str, ...]
    call: tuple[tuple[str, Any], ...] = ()
    tokens: int | None = None

    def __repr__(self) -> str:
        return ".".join(self.path)

    @property
    def name(self) -> tuple[str, ...]:
        return self.path

    @property
    def who(self) -> str:
        return f"layer {str(self)!r}"

    def program(self, parameters: PyTree, images: Array) -> tuple[Any, dict]:
        try:
            with _probing(True), linen.intercept_methods(self._mark_output):
                return self.module.apply(parameters, images, **dict(self.call)), {}
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

    def missing(self, parameters: PyTree, names: list[tuple[str, ...]]) -> str:
        if self.path in _with_variables(parameters):
            return never_called(self.who)
        return unknown("layer", str(self), [".".join(path) for path in sorted(names, key=len)])

    def split_at(self, parameters: PyTree, images: Array) -> tuple[Array, Rest]:
        return split_at_mark(self, parameters, images)

    def _mark_output(self, following, arguments, options, context):
        returned, path = following(*arguments, **options), context.module.path
        if context.method_name != "__call__" or not path:
            return returned
        if path == self.path:
            return mark_layer(returned, path, self.who)
        return mark(returned, path) if isinstance(returned, jax.Array) else returned


def path_of(layer: str) -> tuple[str, ...]:
    """`"layer4.conv2"` or `"layer4/conv2"` as Linen has it."""
    return tuple(re.split(r"[./]", str(layer)))


def _with_variables(variables: PyTree) -> set[tuple[str, ...]]:
    """Paths of the modules that have variables, or whose parts do."""
    found = set()
    for where, _ in jax.tree_util.tree_leaves_with_path(variables):
        _, *path, _ = (str(getattr(step, "key", step)) for step in where)
        found |= {tuple(path[:depth]) for depth in range(1, len(path) + 1)}
    return found
