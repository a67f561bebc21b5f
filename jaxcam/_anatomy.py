"""How a probe reaches into a model: a submodule by its path, or two functions with the layer between them."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array

from ._errors import called_twice, never_called, unknown
from ._tokens import as_map

Edit = Callable[[Array], Array]


@runtime_checkable
class Anatomy(Hashable, Protocol):
    """The static half of a probe: runs a model and hands its layer's activation to an edit."""

    def run(self, parameters: Any, images: Array, edit: Edit) -> tuple[Any, Array]:
        """Batch of one image -> (output, activation before the edit), both with the batch axis."""
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

    def run(self, parameters: dict[str, Any], images: Array, edit: Edit) -> tuple[Any, Array]:
        state = nnx.from_flat_state([(where, parameters["/".join(map(str, where))]) for where in self.leaves])
        model = nnx.merge(self.graphdef, state)  # a fresh copy, so the tap below touches nobody's model
        *above, name = self.path
        parent = model
        for step in above:
            parent = getattr(parent, step)
        tap = _Tap(
            getattr(parent, name), ".".join(self.path), edit, (images.shape[1], images.shape[2]), self.tokens
        )
        vars(parent)[name] = tap
        output = model(images)
        if tap.activation is None:
            raise ValueError(never_called(f"layer {tap.path!r}"))
        return output, tap.activation


@dataclasses.dataclass(frozen=True)
class Split:
    """Two functions, given as the probe's parameters."""

    tokens: int | None = None

    def run(self, parameters: tuple[Callable, Callable], images: Array, edit: Edit) -> tuple[Any, Array]:
        features, head = parameters
        size = images.shape[1], images.shape[2]
        activation, restore = as_map(features(images), size, self.tokens, "features")
        return head(restore(edit(activation))), activation


class _Tap:
    """Stands at the place of a layer, keeps the map it returns and hands on the edited one, as the layer would."""

    def __init__(self, layer: Any, path: str, edit: Edit, size: tuple[int, int], tokens: int | None):
        self.layer, self.path, self.edit, self.size, self.tokens = layer, path, edit, size, tokens
        self.activation: Array | None = None

    def __call__(self, *args: Any, **options: Any) -> Array:
        if self.activation is not None:
            raise ValueError(called_twice(f"layer {self.path!r}"))
        returned = self.layer(*args, **options)
        self.activation, restore = as_map(returned, self.size, self.tokens, f"layer {self.path!r}")
        return restore(self.edit(self.activation))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def __iter__(self):
        return iter(self.layer)  # a model that walks a list's parts never calls the list: run() says so


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
