"""A Flax NNX module as a probe sees it: in evaluation mode, its arrays apart, one submodule's output marked."""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax
from flax import nnx
from jax.extend.core import Jaxpr, jaxpr_as_fun
from jaxtyping import Array, PyTree

from .._errors import never_called, unknown
from ._marks import Rest, mark_layer, split_at_mark
from ._modes import in_training
from ._programs import needed, source

Path = tuple[str, ...]
Arrays = dict[str, Any]


class Static:
    """An NNX module without its arrays, which are apart, by name. Compares by value; its hash is computed once.

    Attributes:
        statistics: names of the running statistics of batch norms, and the paths of those.
        random: names of the states of random generators, and the paths of the layers that hold them.
    """

    def __init__(
        self,
        model: nnx.Module,
        graphdef: nnx.GraphDef,
        leaves: Sequence[tuple[tuple, object]],
        call: tuple[tuple[str, Any], ...],
    ):
        self.kind, self.graphdef, self.call = type(model), graphdef, call
        self.places = tuple(where for where, _ in leaves)
        self.statistics, self.random = (
            {_name(where): _owner(model, where) for where, leaf in leaves if isinstance(leaf, kind)}
            for kind in (nnx.BatchStat, nnx.RngState)
        )
        self._key = (graphdef, self.places, call)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Static) and self._hash == other._hash and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash

    def run(self, arrays: Arrays, *inputs: PyTree, path: Path = ()) -> tuple[Any, Arrays]:
        """The output, with the layer at `path` marked, and the running statistics as the run leaves them."""
        model = nnx.merge(
            self.graphdef, nnx.from_flat_state([(where, arrays[_name(where)]) for where in self.places])
        )  # a fresh copy: nobody's model gets the mark
        if path:
            layer = functools.reduce(lambda node, step: _parts(node)[step], path, model)
            layer.__class__ = _marked(type(layer), path)
        output = model(*inputs, **dict(self.call))  # pyright: ignore[reportCallIssue]
        after = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
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


def static_and_arrays(model: nnx.Module, call: tuple[tuple[str, Any], ...] = ()) -> tuple[Static, Arrays]:
    """A module, viewed in evaluation mode, as its static part and its arrays by name."""
    viewed = nnx.view(model, use_running_average=True, deterministic=True, raise_if_not_found=False)
    graphdef, state = nnx.split(viewed)
    leaves = nnx.to_flat_state(state)
    return Static(viewed, graphdef, leaves, call), {_name(where): _value(leaf) for where, leaf in leaves}


def run(static: Static, arrays: Arrays, *inputs: PyTree) -> PyTree:
    """The module's output; raises ValueError where it runs in training mode."""
    program, (shapes, after) = _trace(static, arrays, *inputs)
    static.check(program.jaxpr, arrays, after)
    outputs = jaxpr_as_fun(program)(*jax.tree.leaves((arrays, inputs)))
    return jax.tree.unflatten(jax.tree.structure(shapes), outputs[: len(outputs) - len(after)])


_trace = jax.make_jaxpr(Static.run, static_argnums=0, return_shape=True)


class Submodule:
    """A submodule of an NNX module, by path.

    `tokens`: number of leading non-spatial tokens, where the submodule returns tokens. `default`: the path that
    the model names as the one to take.
    """

    def __init__(self, module: Static, path: Path, tokens: int | None = None, default: str | None = None):
        self.module, self.path, self.tokens, self.default = module, path, tokens, default

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Submodule) and vars(self) == vars(other))

    def __hash__(self) -> int:
        return hash((self.module, self.path, self.tokens))

    def __repr__(self) -> str:
        return ".".join(self.path)

    @property
    def name(self) -> Path:
        return self.path

    @property
    def who(self) -> str:
        return f"layer {str(self)!r}"

    def program(self, parameters: Arrays, images: Array) -> tuple[Any, Arrays]:
        return self.module.run(parameters, images, path=self.path)

    def check(self, program: Jaxpr, parameters: Arrays, after: Arrays) -> None:
        self.module.check(program, parameters, after)

    def missing(self, parameters: Arrays, names: list) -> str:
        return never_called(self.who)

    def split_at(self, parameters: Arrays, images: Array) -> tuple[Array, Rest]:
        return split_at_mark(self, parameters, images)


@functools.cache
def _marked(kind: type[nnx.Module], path: Path) -> type[nnx.Module]:
    """The class of modules like those of `kind` whose output is marked.

    A class, and the same one for the same layer, because NNX's own transformations take a module apart and make it
    anew of its class, and compare classes to find what they compiled.
    """

    def __call__(self, *args: PyTree, **options: PyTree) -> Array:
        returned = kind.__call__(self, *args, **options)  # pyright: ignore[reportAttributeAccessIssue]
        return mark_layer(returned, path, f"layer {'.'.join(path)!r}")

    names = {each: getattr(kind, each) for each in ("__module__", "__qualname__", "__doc__")}
    make = cast(Callable[..., type[nnx.Module]], type(kind))
    return make(kind.__name__, (kind,), names | {"__call__": __call__})


def layers(model: nnx.Module) -> list[str]:
    """Dotted paths of all submodules of an NNX module that can be called, outermost first: what `probe` takes."""
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"layers takes a flax.nnx.Module; got {_described(model)}. The layers of other models are known when they "
            "run: a probe of one that is not there names those that are"
        )
    return sorted((".".join(path) for path, _ in _modules(model)), key=lambda path: path.count("."))


def resolve(model: nnx.Module, layer: str | nnx.Module) -> Path:
    """The path of a layer; "blocks[-1]" is the last of a list."""
    if isinstance(layer, nnx.Module):
        path = next((".".join(path) for path, each in _modules(model) if each is layer), None)
        found = f"{path!r}" if path else "as jaxcam.layers(model) lists them"
        raise TypeError(f"a layer is named by its path, {found}; got the {type(layer).__name__} itself")
    path = tuple(_steps(model, layer))
    node = _at(model, path)
    if path and isinstance(node, nnx.Module) and callable(node):
        return path
    above = _at(model, path[:-1])
    if isinstance(node, nnx.Variable):
        owner = ".".join(path[:-1])
        advice = f"probe {owner!r}, whose it is" if owner else "probe a module"
        raise ValueError(f"{layer!r} is a {type(node).__name__}, not a layer: {advice}")
    if not path or above is None or path[-1] not in _parts(above):
        raise ValueError(unknown("layer", layer, layers(model)))
    if callable(node):
        raise ValueError(
            f"layer {layer!r} is a {type(node).__name__}, not a module: probe the module that calls it"
        )
    raise ValueError(
        f"layer {layer!r} is a {type(node).__name__}, which is not callable: probe one of its parts"
    )


def _steps(model: nnx.Module, layer: str) -> Iterator[str]:
    """`"blocks[-1].conv"` as the names of parts."""
    if not _PATH.fullmatch(layer):
        raise ValueError(unknown("layer", layer, layers(model)))
    node: object = model
    for name, number in _STEP.findall(layer):
        if number:
            if not (numbered := _numbered(node)) and "layers" in _parts(node):  # of an nnx.Sequential
                yield "layers"
                node = _parts(node)["layers"]
                numbered = _numbered(node)
            if not -len(numbered) <= int(number) < len(numbered):
                raise ValueError(unknown("layer", layer, layers(model)))
            name = numbered[int(number)]
        yield name
        node = _parts(node).get(name)


_STEP = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")
_PATH = re.compile(r"[^.\[\]]+(\[-?\d+\])*(\.[^.\[\]]+(\[-?\d+\])*)*")


def _numbered(node: object) -> list[str]:
    return sorted((each for each in _parts(node) if each.isdigit()), key=int)


def _modules(node: object, path: Path = (), above: tuple[int, ...] = ()) -> Iterator[tuple[Path, nnx.Module]]:
    for name, part in _parts(node).items():
        if id(part) in above:  # a part that knows its parent
            continue
        here = (*path, name)
        if isinstance(part, nnx.Module) and callable(part):
            yield here, part
        yield from _modules(part, here, (*above, id(node), id(part)))


def _parts(node: object) -> dict[str, Any]:
    """What a module, or a list, tuple or dictionary in it, holds."""
    if isinstance(node, nnx.Pytree):
        return vars(node)
    if isinstance(node, list | tuple):
        return {str(number): part for number, part in enumerate(node)}
    return {str(key): part for key, part in node.items()} if isinstance(node, dict) else {}


def _at(model: nnx.Module, path: Sequence[str]) -> object:
    return functools.reduce(lambda node, step: _parts(node).get(step), path, model)


def _owner(model: nnx.Module, where: tuple) -> str:
    """The path of the module that holds a leaf."""
    above = [str(step) for step in where]
    while above and not isinstance(_at(model, above), nnx.Module):
        above.pop()
    return ".".join(above)


def _name(where: tuple) -> str:
    return "/".join(map(str, where))


def _value(leaf: object) -> Any:
    return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf


def _described(model: object) -> str:
    kind = model if isinstance(model, type) else type(model)
    return (
        f"{'the class ' if isinstance(model, type) else 'a '}{kind.__module__.split('.')[0]} {kind.__name__}"
    )
