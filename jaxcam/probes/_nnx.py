"""A Flax NNX module as a probe sees it: in evaluation mode, its arrays apart, one submodule's output marked."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
from flax import nnx
from jax.extend.core import Jaxpr, jaxpr_as_fun
from jaxtyping import Array, PyTree

from .._errors import never_called
from ._layers import Layer, hash_of
from ._marks import mark_layer
from ._modes import in_training
from ._paths import Path, at, parts_of
from ._programs import needed, source
from ._walk import Inputs, Walk, walk

Arrays = dict[str, Any]
Options = tuple[tuple[str, Any], ...]


class Static:
    """An NNX module without its arrays, which are apart, by name. Compares by value; its hash is computed once.

    Attributes:
        call: options of the call, but for `objects`: NNX objects such as `nnx.Rngs`, without their arrays.
        method: name of the method that is run.
        statistics: names of the running statistics of batch norms, and the paths of those.
        random: names of the states of random generators, and the paths of the layers that hold them.
    """

    def __init__(
        self,
        model: nnx.Module,
        graphdef: nnx.GraphDef,
        leaves: Sequence[tuple[tuple, object]],
        call: Options = (),
        objects: Options = (),
        method: str = "__call__",
    ):
        self.kind, self.graphdef, self.call = type(model), graphdef, call
        self.objects, self.method = objects, method
        self.places = tuple(where for where, _ in leaves)
        self.statistics, self.random = (
            {_name(where): _owner(model, where) for where, leaf in leaves if isinstance(leaf, kind)}
            for kind in (nnx.BatchStat, nnx.RngState)
        )
        for name, (_, places) in objects:
            self.random |= {_name((name, *where), "call"): name for where in places}
        self._key = (graphdef, self.places, call, objects, method)
        self._hash = hash_of(*self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Static) and self._hash == other._hash and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash

    def model(self, arrays: Arrays) -> Any:
        """The module with its arrays, made anew."""
        return _merged(self.graphdef, self.places, arrays)

    def run(
        self, arrays: Arrays, positional: tuple, named: dict[str, PyTree], paths: tuple[Path, ...] = ()
    ) -> tuple[Any, Arrays]:
        """The output, with the layers at `paths` marked, and the running statistics as the run leaves them."""
        model = self.model(arrays)  # a fresh copy: nobody's model gets the mark
        for path in paths:
            layer = functools.reduce(lambda node, step: parts_of(node)[step], path, model)
            layer.__class__ = _marked(type(layer), path)
        objects = {
            name: _merged(graphdef, places, arrays, (name, "call"))
            for name, (graphdef, places) in self.objects
        }
        output = getattr(model, self.method)(*positional, **named, **dict(self.call), **objects)
        after = nnx.to_flat_state(nnx.state(model, nnx.BatchStat, graph=True))
        return output, {_name(where): _value(leaf) for where, leaf in after}

    def check(self, program: Jaxpr, arrays: Arrays, after: Arrays) -> None:
        """Raises ValueError where the program of a run changes running statistics, or its output depends on chance."""
        places = {name: number for number, name in enumerate(sorted(arrays))}
        outputs = len(program.outvars) - len(after)
        for name, atom in zip(sorted(after), program.outvars[outputs:], strict=True):
            if name in self.statistics and source(program, atom) != places[name]:
                raise ValueError(in_training(self.kind, f"batch norm {self.statistics[name]!r}"))
        used = needed(program, [True] * outputs + [False] * len(after))
        for name, layer in self.random.items():
            if used[places[name]]:
                raise ValueError(in_training(self.kind, f"dropout (or another random layer) {layer!r}"))


def static_and_arrays(
    model: nnx.Module, call: Options = (), method: str = "__call__"
) -> tuple[Static, Arrays]:
    """A module, viewed in evaluation mode, as its static part and its arrays by name."""
    viewed = nnx.view(
        model, use_running_average=True, deterministic=True, raise_if_not_found=False, graph=True
    )
    graphdef, leaves = _split(viewed)
    arrays = {_name(where): _value(leaf) for where, leaf in leaves}
    plain, objects = [], []
    for name, value in call:
        if not isinstance(value, nnx.Pytree):
            plain.append((name, value))
            continue
        inner, held = _split(value)
        objects.append((name, (inner, tuple(where for where, _ in held))))
        arrays |= {_name((name, *where), "call"): _value(leaf) for where, leaf in held}
    return Static(viewed, graphdef, leaves, tuple(plain), tuple(objects), method), arrays


def _split(node: nnx.Pytree) -> tuple[nnx.GraphDef, list[tuple[tuple, object]]]:
    graphdef, state = nnx.split(node, graph=True)  # of shared modules too, which tree mode refuses
    return graphdef, list(nnx.to_flat_state(state))


def _merged(
    graphdef: nnx.GraphDef, places: Sequence[tuple], arrays: Arrays, owner: tuple[str, str] | None = None
) -> Any:
    """The module of a graph definition; with an owner, an object of the call by its name."""
    names = {where: _name((owner[0], *where), owner[1]) if owner else _name(where) for where in places}
    return nnx.merge(graphdef, nnx.from_flat_state([(where, arrays[names[where]]) for where in places]))


def run(static: Static, arrays: Arrays, *inputs: PyTree) -> PyTree:
    """The module's output; raises ValueError where it runs in training mode."""
    program, (shapes, after) = _trace(static, arrays, inputs, {})
    static.check(program.jaxpr, arrays, after)
    outputs = jaxpr_as_fun(program)(*jax.tree.leaves((arrays, inputs)))
    return jax.tree.unflatten(jax.tree.structure(shapes), outputs[: len(outputs) - len(after)])


_trace = jax.make_jaxpr(Static.run, static_argnums=0, return_shape=True)


@dataclasses.dataclass(frozen=True)
class Submodule:
    """Submodules of an NNX module, by path.

    `tokens`: number of leading non-spatial tokens, where a submodule returns tokens. `default`: the path that
    the model names as the one to take.
    """

    module: Static
    layers: tuple[Layer, ...]
    tokens: int | None = None
    default: str | None = dataclasses.field(default=None, hash=False)

    def __repr__(self) -> str:
        return ", ".join(layer.label for layer in self.layers)

    @property
    def method(self) -> str:
        return self.module.method

    def program(self, parameters: Arrays, inputs: Inputs, images: Array) -> tuple[Any, Arrays]:
        positional, named = inputs
        paths = tuple(layer.name for layer in self.layers if isinstance(layer.name, tuple))
        return self.module.run(parameters, (images, *positional), named, tuple(dict.fromkeys(paths)))

    def check(self, program: Jaxpr, parameters: Arrays, after: Arrays) -> None:
        self.module.check(program, parameters, after)

    def missing(self, parameters: Arrays, layer: Layer, names: list) -> str:
        return never_called(layer.who)

    def only(self, layer: Layer) -> "Submodule":
        return dataclasses.replace(self, layers=(layer,))

    def walk(self, parameters: Arrays, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)


@functools.cache
def _marked(kind: type[nnx.Module], path: Path) -> type[nnx.Module]:
    """The class of modules like those of `kind` whose output is marked.

    A class, and the same one for the same layer, because NNX's own transformations take a module apart and make it
    anew of its class, and compare classes to find what they compiled.
    """

    def __call__(self, *args: PyTree, **options: PyTree) -> PyTree:
        returned = kind.__call__(self, *args, **options)  # pyright: ignore[reportAttributeAccessIssue]
        return mark_layer(returned, path, f"layer {'.'.join(path)!r}")

    names = {each: getattr(kind, each) for each in ("__module__", "__qualname__", "__doc__")}
    make = cast(Callable[..., type[nnx.Module]], type(kind))
    return make(kind.__name__, (kind,), names | {"__call__": __call__})


def _owner(model: nnx.Module, where: tuple) -> str:
    """The path of the module that holds a leaf."""
    above = [str(step) for step in where]
    while above and not isinstance(at(model, above), nnx.Module):
        above.pop()
    return ".".join(above)


def _name(where: tuple, owner: str = "") -> str:
    name = "/".join(map(str, where))
    return f"{owner}({name})" if owner else name


def _value(leaf: object) -> Any:
    return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf
