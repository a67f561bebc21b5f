"""An Equinox model as a probe sees it: in inference mode, mapped over a batch, layers by path, channels moved last."""

import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr
from jaxtyping import Array, PyTree

from .._errors import never_called, unknown
from ._layers import INPUT, Layer, input_layer, parsed
from ._marks import mark_layer
from ._modes import check_call
from ._tap import Tapped
from ._walk import Inputs, Walk, walk

Path = tuple[str, ...]
Options = tuple[tuple[str, Any], ...]
Parameters = dict[str, Any]
_BATCH = "batch"  # the axis that Equinox's batch norms are made with, in its documentation


def is_equinox(model: object) -> bool:
    """Whether it is an Equinox module, found without importing Equinox."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(model, equinox.Module)


def has_layers(model: object, labels: Sequence[str]) -> bool:
    """Whether every label names a layer of an Equinox module. Otherwise it is a function of a batch, with taps."""
    return all(label == INPUT or _layer(model, label) for label in labels)


def equinox_parts(
    model: Any,
    labels: Sequence[str],
    variables: PyTree,
    call: Options,
    inputs: Inputs,
    method: str,
    tokens: int | None,
) -> tuple[Parameters, "Equinox"]:
    """Parameters and static part of a probe of an Equinox module; `variables` is its `eqx.nn.State`, if it has one."""
    import equinox

    positional, named = inputs
    state = () if variables is None else (variables,)
    check_call(model, dict(call), ((*state, *positional), named), method)
    leaves, structure = jax.tree.flatten(equinox.nn.inference_mode(model))
    arrays = [leaf if _is_array(leaf) else None for leaf in leaves]
    fixed = tuple(None if _is_array(leaf) else leaf for leaf in leaves)
    layers = tuple(layer for label in labels if (layer := _layer(model, label)))
    if tokens is None:
        tokens = getattr(model, "num_prefix_tokens", None)
    parameters = {"model": arrays} | ({} if variables is None else {"state": variables})
    return parameters, Equinox(structure, fixed, layers, call, tokens, method, type(model))


@dataclasses.dataclass(frozen=True)
class Equinox:
    """Layers of an Equinox module, by path. The probe's parameters are the module's arrays, and its state.

    Attributes:
        structure: of the module; `fixed`: its leaves that are not arrays.
    """

    structure: Hashable
    fixed: tuple
    layers: tuple[Layer, ...]
    call: Options = ()
    tokens: int | None = None
    method: str = "__call__"
    kind: type = object

    def __repr__(self) -> str:
        return ", ".join(layer.label for layer in self.layers)

    def only(self, layer: Layer) -> "Equinox":
        return dataclasses.replace(self, layers=(layer,))

    def program(self, parameters: Parameters, inputs: Inputs, images: Array) -> tuple[Any, dict[str, Array]]:
        pairs = zip(parameters["model"], self.fixed, strict=True)
        leaves = [fixed if array is None else array for array, fixed in pairs]
        model = jax.tree.unflatten(
            cast(Any, self.structure), leaves
        )  # a fresh copy: nobody's model gets the mark
        for path in dict.fromkeys(layer.name for layer in self.layers if isinstance(layer.name, tuple)):
            part = functools.reduce(lambda node, step: _parts(node)[step], path, model)
            object.__setattr__(part, "__class__", _marked(type(part), path, images.ndim - 2))
        positional, named = inputs
        state = (parameters["state"],) if "state" in parameters else ()

        def one(image: Array) -> PyTree:
            returned = getattr(model, self.method)(image, *state, *positional, **named, **dict(self.call))
            return returned[0] if state else returned

        return jax.vmap(one, axis_name=_BATCH)(jnp.moveaxis(images, -1, 1)), {}

    def check(self, program: Jaxpr, parameters: Parameters, after: dict) -> None:
        pass

    def missing(self, parameters: PyTree, layer: Layer, names: list) -> str:
        return never_called(layer.who)

    def walk(self, parameters: Parameters, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)


@functools.cache
def _marked(kind: type, path: Path, rank: int) -> type:
    """The class of modules like those of `kind` whose output, with the channels first, is marked."""

    def __call__(self, *args: PyTree, **options: PyTree) -> PyTree:
        returned = kind.__call__(self, *args, **options)
        last = jax.tree.map(lambda leaf: _moved(leaf, rank, 0, -1), returned)
        marked = mark_layer(last, path, f"layer {_written(path)!r}")
        return jax.tree.map(lambda leaf: _moved(leaf, rank, -1, 0), marked)

    names = {each: getattr(kind, each) for each in ("__module__", "__qualname__", "__doc__")}
    make = cast(Callable[..., type], type(kind))
    return make(kind.__name__, (kind,), names | {"__call__": __call__})


def _moved(leaf: Any, rank: int, source: int, destination: int) -> Any:
    """A map with its channels moved; tokens, and all else, as they are."""
    return jnp.moveaxis(leaf, source, destination) if getattr(leaf, "ndim", 0) == rank + 1 else leaf


@dataclasses.dataclass(frozen=True)
class EquinoxFunction(Tapped):
    """An Equinox module in which a label names no layer: a function of a batch with taps, or a mistake.

    `unknown`: the error for the mistake.
    """

    unknown: str = ""

    def program(self, parameters: tuple, inputs: Inputs, images: Array) -> tuple[Any, dict]:
        try:
            return super().program(parameters, inputs, images)
        except Exception as error:
            raise ValueError(
                f"{self.unknown}. As a function of a batch with taps it said: {error}"
            ) from error

    def missing(self, parameters: tuple, layer: Layer, names: list) -> str:
        return super().missing(parameters, layer, names) if names else self.unknown


def unknown_layer(model: object, labels: Sequence[str]) -> str:
    """The error for the first label that names no layer."""
    wrong = next(label for label in labels if label != INPUT and not _layer(model, label))
    return unknown("layer", wrong, sorted((_written(path) for path in _modules(model)), key=len))


def _layer(model: object, label: str) -> Layer | None:
    """The layer of a label, None where there is none: `"blocks[1]"` of a list is its second, else the second call."""
    if label == INPUT:
        return input_layer()
    written, call, leaf = parsed(label)
    whole = label.partition(":")[0]
    for path, number in ((_steps(model, whole), None), (_steps(model, written), call)):
        if path:
            return Layer(label, path, number, leaf)
    return None


def _steps(model: object, written: str) -> Path | None:
    """`"blocks[-1].conv"` or `"blocks.2.conv"` as the names of parts; None where no callable module is there."""
    node, path = model, []
    for step in re.findall(r"[^.\[\]]+|\[-?\d+\]", written):
        parts = _parts(node)
        name = step.strip("[]")
        if step != name:
            if "layers" in parts and "0" not in parts:  # of an eqx.nn.Sequential
                path.append("layers")
                parts = _parts(parts["layers"])
            name = str(int(name) % len(parts)) if -len(parts) <= int(name) < len(parts) else name
        if name not in parts:
            return None
        path.append(name)
        node = parts[name]
    return tuple(path) if path and _is_layer(node) else None


def _modules(node: object, path: Path = ()) -> Iterator[Path]:
    if path and _is_layer(node):
        yield path
    for name, part in _parts(node).items():
        yield from _modules(part, (*path, name))


def _is_layer(node: object) -> bool:
    return is_equinox(node) and callable(node)


def _parts(node: object) -> dict[str, Any]:
    """What a module holds in the fields that are not static; what a list, tuple or dictionary in it holds."""
    if is_equinox(node):
        kept = [each for each in dataclasses.fields(cast(Any, node)) if not each.metadata.get("static")]
        return {each.name: vars(node)[each.name] for each in kept if each.name in vars(node)}
    if isinstance(node, list | tuple):
        return {str(number): part for number, part in enumerate(node)}
    return {str(key): part for key, part in node.items()} if isinstance(node, dict) else {}


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path).removeprefix(".")


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
