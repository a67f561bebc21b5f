"""Marks in a model's program, which name an activation.

A mark is a primitive that does nothing. Because it is part of the program, and not of what Python does while the
program is made, it is found inside functions that were compiled before, and outside a probe it costs nothing.
"""

from collections.abc import Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, PyTree


def mark(activation: Array, name: Hashable) -> Array:
    names, axes = _varied.value
    if name in names:
        activation = vary(activation, frozenset(axes))
    return MARK.bind(activation, name=name)


def varying(x: Array) -> frozenset:
    """The axes of a mesh along which devices hold values of their own, inside `jax.shard_map`."""
    return jax.typeof(x).manual_axis_type.varying


def vary(x: Array, axes: frozenset) -> Array:
    """The same array, which also varies along these axes of a mesh."""
    missing = tuple(sorted(axes - varying(x)))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def varied(names: frozenset[Hashable], axes: frozenset[str]):
    """Context in which the activations at these marks vary along these axes of a mesh, as changed ones do."""
    return _varied((names, tuple(sorted(axes))))


_varied = jax.make_user_context(default_value=(frozenset(), ()))


class Leaf(NamedTuple):
    """The name of the mark on one leaf of the tuple or dictionary that a layer returns."""

    layer: Hashable
    key: str


def mark_layer(returned: PyTree, name: Hashable, who: str) -> PyTree:
    """Marks what a layer returns: an array by the layer's name, or else every array in it by its `Leaf`."""
    if isinstance(returned, jax.Array):
        return mark(returned, name)
    leaves, structure = jax.tree_util.tree_flatten_with_path(returned)
    if not any(isinstance(leaf, jax.Array) for _, leaf in leaves):
        raise ValueError(
            f"{who} returns {type(returned).__name__}, which holds no array: probe one of its parts"
        )
    marked = [
        mark(leaf, Leaf(name, jax.tree_util.keystr(where, simple=True, separator=".")))
        if isinstance(leaf, jax.Array)
        else leaf
        for where, leaf in leaves
    ]
    return jax.tree.unflatten(structure, marked)


MARK = Primitive("jaxcam_tap")
MARK.def_impl(lambda x, *, name: x)
MARK.def_abstract_eval(lambda x, *, name: x)
mlir.register_lowering(MARK, lambda context, x, *, name: [x])
ad.primitive_jvps[MARK] = lambda primals, tangents, *, name: (mark(primals[0], name), tangents[0])
batching.primitive_batchers[MARK] = lambda xs, axes, *, name: (
    mark(jnp.moveaxis(xs[0], axes[0], 0), name),
    0,
)
