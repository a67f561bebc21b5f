"""Names of Keras layers in a model's program, and marks in their place.

Keras asks its distribution strategy, layer by layer, for the sharding of what the layer returns. While a probe traces
the model, a strategy of its own answers with a sharding that names the layer. In the model's program that is an
equation, and a mark takes its place.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ._marks import mark_layer
from ._programs import opened, programs


class Namer:
    """Stands for a distribution strategy of Keras: the sharding of a layer's output tells the layer's path.

    `wanted`: ends of paths. Inside a `jax.shard_map` that checks which values vary, a tuple cannot be given a sharding,
    so that only those layers are named there.
    """

    def __init__(self, wanted: Sequence[str], varies: bool):
        self.wanted, self.varies = wanted, varies

    def get_tensor_layout(self, path: str) -> Sharding | None:
        path = path.removesuffix("/output")
        if not self.varies:
            return _OnDevice.of(path)
        wanted = any(f"/{path}".endswith(f"/{each}") for each in self.wanted)
        return _OnMesh.of(path) if wanted else None


class _OnDevice(SingleDeviceSharding):
    """Any sharding, with the path of a layer."""

    path: str

    @classmethod
    def of(cls, path: str) -> "_OnDevice":
        made = cls(jax.local_devices()[0])
        made.path = path
        return made


class _OnMesh(NamedSharding):
    """The same on all devices of the mesh around, with the path of a layer."""

    path: str

    @classmethod
    def of(cls, path: str) -> "_OnMesh":
        made = cls(jax.sharding.get_abstract_mesh(), PartitionSpec())
        made.path = path
        return made


def _path(equation: JaxprEqn) -> str | None:
    """The path of the layer whose output an equation names; None for all other equations."""
    if equation.primitive.name == "sharding_constraint":
        sharding = equation.params["sharding"]
    elif equation.primitive.name == "device_put":  # of a tuple or a dictionary
        sharding = equation.params["devices"][0]
    else:
        return None
    return sharding.path if isinstance(sharding, _OnDevice | _OnMesh) else None


def paths_in(program: Jaxpr) -> Iterator[str]:
    for equation in program.eqns:
        if (path := _path(equation)) is not None:
            yield path
        for inner in programs(equation):
            yield from paths_in(inner)


def replay(program: Jaxpr, consts: Sequence, inputs: Sequence, names: dict[str, tuple[str, str]]) -> list:
    """The outputs of a program, with marks in place of the equations that name layers."""
    values = dict(zip([*program.constvars, *program.invars], [*consts, *inputs], strict=True))
    for equation in program.eqns:
        given = [atom.val if isinstance(atom, Literal) else values[atom] for atom in equation.invars]
        if (path := _path(equation)) is not None:
            returned = given[0] if equation.primitive.name == "sharding_constraint" else tuple(given)
            outputs = jax.tree.leaves(mark_layer(returned, names[path], f"layer {path!r}"))
        else:
            params = equation.params
            if any(any(paths_in(inner)) for inner in programs(equation)):
                params = {key: _with_marks(value, names) for key, value in params.items()}
            with equation.ctx.manager:
                outputs = equation.primitive.bind(*given, **equation.primitive.get_bind_params(params))
            outputs = outputs if equation.primitive.multiple_results else [outputs]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [atom.val if isinstance(atom, Literal) else values[atom] for atom in program.outvars]


def _with_marks(value: Any, names: dict[str, tuple[str, str]]) -> Any:
    """A parameter of an equation, with marks in the programs that it holds."""
    if type(value) in (tuple, list):
        return type(value)(_with_marks(each, names) for each in value)
    if not isinstance(value, Jaxpr | ClosedJaxpr):
        return value
    inner, consts = opened(value), getattr(value, "consts", ())
    made = jax.make_jaxpr(lambda *inputs: replay(inner, consts, inputs, names))(
        *(each.aval for each in inner.invars)
    )
    return made if isinstance(value, ClosedJaxpr) else made.jaxpr
