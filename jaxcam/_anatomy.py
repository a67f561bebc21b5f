"""How a probe reaches into a model: a submodule by its path, or two functions with the layer between them."""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array

from ._errors import never_called, unknown
from ._marks import Rest, mark_layer, split_at_mark
from ._tokens import as_map


@runtime_checkable
class Anatomy(Hashable, Protocol):
    """The static half of a probe: a model as two parts, with its layer between them."""

    def split_at(self, parameters: Any, images: Array) -> tuple[Array, Rest]:
        """Batch of one image -> the layer's activation as a map `(1, h, w, K)`, and the function of such a map, changed
        or not, that runs what follows the layer and returns the model's output."""
        ...


class Submodule:
    """A submodule of an NNX module, by path. Compares by value; its hash is computed once.

    `tokens`: the leading ones that stand for no place, where the submodule returns tokens.
    """

    def __init__(
        self, graphdef: Any, leaves: tuple[tuple, ...], path: tuple[str, ...], tokens: int | None = None
    ):
        self.graphdef, self.leaves, self.path, self.tokens = graphdef, leaves, path, tokens
        self._key = (graphdef, leaves, path, tokens)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Submodule) and self._hash == other._hash and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return ".".join(self.path)

    @property
    def name(self) -> tuple[str, ...]:
        return self.path

    @property
    def who(self) -> str:
        return f"layer {str(self)!r}"

    def program(self, parameters: dict[str, Any], images: Array) -> Any:
        state = nnx.from_flat_state([(where, parameters["/".join(map(str, where))]) for where in self.leaves])
        model = nnx.merge(self.graphdef, state)  # a fresh copy: nobody's model gets the mark
        node = model
        for step in self.path:
            node = getattr(node, step)
        node.__class__ = _marked(type(node), self.path)
        return model(images)

    def missing(self, parameters: Any, names: list) -> str:
        return never_called(self.who)

    def split_at(self, parameters: dict[str, Any], images: Array) -> tuple[Array, Rest]:
        return split_at_mark(self, parameters, images)


@functools.cache
def _marked(kind: type[nnx.Module], path: tuple[str, ...]) -> type[nnx.Module]:
    """The class of modules like those of `kind` whose output is marked.

    A class, and the same one for the same layer, because NNX's own transformations take a module apart and make it
    anew of its class, and compare classes to find what they compiled.
    """

    def __call__(self, *args: Any, **options: Any) -> Array:
        return mark_layer(kind.__call__(self, *args, **options), path, f"layer {'.'.join(path)!r}")

    names = {each: getattr(kind, each) for each in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (kind,), names | {"__call__": __call__})


@dataclasses.dataclass(frozen=True)
class Split:
    """Two functions, given as the probe's parameters."""

    tokens: int | None = None

    def split_at(self, parameters: tuple[Callable, Callable], images: Array) -> tuple[Array, Rest]:
        features, head = parameters
        size = images.shape[1], images.shape[2]
        activation, restore = as_map(features(images), size, self.tokens, "features")
        return activation, lambda changed: head(restore(changed))


def evaluation(model: nnx.Module) -> nnx.Module:
    return nnx.view(model, use_running_average=True, deterministic=True, raise_if_not_found=False)


def resolve(model: nnx.Module, layer: str) -> tuple[str, ...]:
    path = tuple(str(layer).split("."))
    node: Any = model
    for step in path:
        if step not in getattr(node, "__dict__", {}):
            raise ValueError(unknown("layer", layer, layers(model)))
        node = getattr(node, step)
    if not callable(node):
        raise ValueError(
            f"layer {layer!r} is a {type(node).__name__}, which is not callable: probe one of its parts"
        )
    return path


def layers(model: nnx.Module) -> list[str]:
    """Dotted paths of all submodules of `model`, outermost first."""
    paths = [
        ".".join(map(str, where)) for where, node in nnx.iter_graph(model) if isinstance(node, nnx.Module)
    ]
    return sorted((path for path in paths if path), key=lambda path: path.count("."))
