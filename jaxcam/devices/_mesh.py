"""Images on a mesh of devices: each device computes its own, and nothing crosses from one to another."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.core
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from ..probes._marks import varying

Names = str | tuple[str, ...] | None  # axes of a mesh that one axis of an array is split over


class Split(NamedTuple):
    """How the first axis of an array is split: over which axes of which mesh.

    Attributes:
        mesh: `jax.sharding.Mesh`, or the `AbstractMesh` of an array inside `jax.jit`.
        axes: names of the mesh's axes.
    """

    mesh: Mesh | AbstractMesh
    axes: tuple[str, ...]


def split_of(array: Array | np.ndarray) -> Split | None:
    """How the first axis of an array is split over devices; None where it is not, or where only XLA knows.

    Inside `jax.jit` the split is known for axes of type Explicit. Inside `jax.shard_map` nothing is left to split.
    """
    sharding = (
        jax.typeof(array).sharding if isinstance(array, jax.core.Tracer) else getattr(array, "sharding", None)
    )
    if not isinstance(sharding, NamedSharding) or not sharding.spec:
        return None
    first = sharding.spec[0]
    axes = first if isinstance(first, tuple) else (first,)
    if not axes or not all(isinstance(axis, str) for axis in axes):
        return None
    return Split(sharding.mesh, axes)


def on_each(function: Callable, split: Split, arguments: tuple, mapped: tuple[bool, ...]) -> PyTree:
    """`function(*arguments)` on every device of a split, for its own part of the `mapped` arguments' first axis.

    The other arguments are the same on all devices; what is returned is split as the arguments are. Runs inside
    `jax.jit`.
    """
    along, whole = PartitionSpec(split.axes), PartitionSpec()
    arguments = tuple(
        jax.tree.map(lambda leaf, each=each: _placed(leaf, split, each), argument)
        for argument, each in zip(arguments, mapped, strict=True)
    )
    program = jax.shard_map(
        function,
        mesh=split.mesh,
        in_specs=tuple(along if each else whole for each in mapped),
        out_specs=along,
        axis_names=set(split.axes),
        check_vma=False,  # nothing goes from one device to another, whatever the model's own loops carry
    )
    return program(*arguments)


def _placed(leaf: Array, split: Split, mapped: bool) -> Array:
    """An array as `jax.shard_map` wants it: sharded as its specification says, if the mesh's axes are Explicit."""
    types = dict(zip(split.mesh.axis_names, split.mesh.axis_types, strict=True))
    if any(types[axis] != AxisType.Explicit for axis in split.axes):
        return leaf
    now = getattr(jax.typeof(leaf).sharding, "spec", ())
    rest = [_without(entry, split.axes) for entry in (*now, *[None] * (leaf.ndim - len(now)))]
    spec = PartitionSpec(split.axes, *rest[1:]) if mapped else PartitionSpec(*rest)
    return jax.sharding.reshard(leaf, NamedSharding(split.mesh, spec))


def _without(entry: Names, axes: tuple[str, ...]) -> Names:
    names = entry if isinstance(entry, tuple) else (entry,)
    kept = tuple(name for name in names if name is not None and name not in axes)
    return kept or None


def check_devices(parameters: PyTree, images: Array) -> None:
    """ValueError where parameters were put on fewer devices than the images are on."""
    if isinstance(images, jax.core.Tracer):
        return
    for leaf in jax.tree.leaves(parameters):
        if isinstance(leaf, jax.core.Tracer) or not getattr(leaf, "committed", False):
            continue
        if leaf.sharding.device_set != images.sharding.device_set:
            few, many = len(leaf.sharding.device_set), len(images.sharding.device_set)
            raise ValueError(
                f"the model's parameters were put on {few} of the {many} devices that the images are on: put the "
                "probe on all of them, jax.device_put(probe, NamedSharding(mesh, PartitionSpec()))"
            )


def vary_as(value: Array, other: Array) -> Array:
    """`value`, typed as different on the devices on which `other` is, inside `jax.shard_map`."""
    missing = varying(other) - varying(value)
    return jax.lax.pcast(value, tuple(missing), to="varying") if missing else value
