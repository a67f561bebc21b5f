"""The layers of an NNX module by their paths."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from flax import nnx

from .._errors import unknown
from ._layers import INPUT, Layer, input_layer, parsed

Path = tuple[str, ...]


def layers(model: nnx.Module) -> list[str]:
    """Dotted paths of all submodules of an NNX module that can be called, outermost first: what `probe` takes."""
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"layers takes a flax.nnx.Module; got {_described(model)}. The layers of other models are known when they "
            "run: a probe of one that is not there names those that are"
        )
    return sorted((".".join(path) for path, _ in _modules(model)), key=lambda path: path.count("."))


def resolve(model: nnx.Module, label: str | nnx.Module, *, alone: bool = True) -> Layer:
    """A layer by its path: "blocks[-1]" is the last of a list, "block[1]" the second call of a module.

    Where it is alone, its label is the path as the model has it.
    """
    if isinstance(label, nnx.Module):
        found = next((".".join(path) for path, each in _modules(model) if each is label), None)
        found = f"{found!r}" if found else "as jaxcam.layers(model) lists them"
        raise TypeError(f"a layer is named by its path, {found}; got the {type(label).__name__} itself")
    if label == INPUT:
        return input_layer()
    written, call, leaf = parsed(label)
    if call is not None:
        node = at(model, tuple(_steps(model, written)))
        if (
            not (isinstance(node, nnx.Module) and callable(node))
            or _numbered(node)
            or "layers" in parts_of(node)
        ):
            written, call = label.partition(":")[0], None  # a part of a list
    path = _path(model, written)
    exact = ".".join(path) + (f"[{call}]" if call is not None else "") + (f":{leaf}" if leaf else "")
    return Layer(exact if alone else label, path, call, leaf)


def _path(model: nnx.Module, layer: str) -> Path:
    path = tuple(_steps(model, layer))
    node = at(model, path)
    if path and isinstance(node, nnx.Module) and callable(node):
        return path
    above = at(model, path[:-1])
    if isinstance(node, nnx.Variable):
        owner = ".".join(path[:-1])
        advice = f"probe {owner!r}, whose it is" if owner else "probe a module"
        raise ValueError(f"{layer!r} is a {type(node).__name__}, not a layer: {advice}")
    if not path or above is None or path[-1] not in parts_of(above):
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
            if not (numbered := _numbered(node)) and "layers" in parts_of(node):  # of an nnx.Sequential
                yield "layers"
                node = parts_of(node)["layers"]
                numbered = _numbered(node)
            if not -len(numbered) <= int(number) < len(numbered):
                raise ValueError(unknown("layer", layer, layers(model)))
            name = numbered[int(number)]
        yield name
        node = parts_of(node).get(name)


_STEP = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")
_PATH = re.compile(r"[^.\[\]]+(\[-?\d+\])*(\.[^.\[\]]+(\[-?\d+\])*)*")


def _numbered(node: object) -> list[str]:
    return sorted((each for each in parts_of(node) if each.isdigit()), key=int)


def _modules(node: object, path: Path = (), above: tuple[int, ...] = ()) -> Iterator[tuple[Path, nnx.Module]]:
    for name, part in parts_of(node).items():
        if id(part) in above:  # a part that knows its parent
            continue
        here = (*path, name)
        if isinstance(part, nnx.Module) and callable(part):
            yield here, part
        yield from _modules(part, here, (*above, id(node), id(part)))


def parts_of(node: object) -> dict[str, Any]:
    """What a module, or a list, tuple or dictionary in it, holds."""
    if isinstance(node, nnx.Pytree):
        return vars(node)
    if isinstance(node, list | tuple):
        return {str(number): part for number, part in enumerate(node)}
    return {str(key): part for key, part in node.items()} if isinstance(node, dict) else {}


def at(model: nnx.Module, path: Sequence[str]) -> object:
    return functools.reduce(lambda node, step: parts_of(node).get(step), path, model)


def _described(model: object) -> str:
    kind = model if isinstance(model, type) else type(model)
    return (
        f"{'the class ' if isinstance(model, type) else 'a '}{kind.__module__.split('.')[0]} {kind.__name__}"
    )
