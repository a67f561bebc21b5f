"""Functions as pytrees of the arrays that they hold, so that those are arguments of what is compiled."""

from collections.abc import Callable, Hashable

import jax
from flax import nnx
from jaxtyping import PyTree

from ._nnx import Static, run, static_and_arrays


def as_pytree(function: Callable) -> Callable:
    """A function whose leaves are arrays: an NNX module's state, a pytree's arrays, nothing of a plain function."""
    if not callable(function):
        raise TypeError(f"split takes two functions; got {type(function).__name__}")
    if isinstance(function, nnx.Module):
        return _ModuleCall(*static_and_arrays(function))
    leaves = jax.tree.leaves(function)
    return function if leaves and all(map(_is_array, leaves)) else _PytreeCall.of(function)


@jax.tree_util.register_pytree_node_class
class _ModuleCall:
    """An NNX module as a function that is a pytree of its parameters."""

    def __init__(self, static: Static, arrays: PyTree):
        self.static, self.arrays = static, arrays

    def __call__(self, *args: PyTree) -> PyTree:
        return run(self.static, self.arrays, *args)

    def tree_flatten(self):
        return (self.arrays,), self.static

    @classmethod
    def tree_unflatten(cls, static, children):
        return cls(static, children[0])


@jax.tree_util.register_pytree_node_class
class _PytreeCall:
    """A function with leaves that are not arrays, such as an Equinox module's activation functions, or itself."""

    def __init__(self, arrays: PyTree, fixed: tuple, structure: Hashable):
        self.arrays, self.fixed, self.structure = arrays, fixed, structure

    @classmethod
    def of(cls, function: Callable) -> "_PytreeCall":
        leaves, structure = jax.tree.flatten(function)
        fixed = tuple(None if _is_array(leaf) else leaf for leaf in leaves)
        return cls([leaf if _is_array(leaf) else None for leaf in leaves], fixed, structure)

    def __call__(self, *args: PyTree, **options: PyTree) -> PyTree:
        pairs = zip(self.arrays, self.fixed, strict=True)
        leaves = [fixed if array is None else array for array, fixed in pairs]
        return jax.tree.unflatten(self.structure, leaves)(*args, **options)

    def tree_flatten(self):
        return (self.arrays,), (self.fixed, self.structure)

    @classmethod
    def tree_unflatten(cls, rest, children):
        return cls(children[0], *rest)


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
