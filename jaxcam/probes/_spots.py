"""Where in a model's program the layers are that a probe looks at."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn

from .._errors import cut
from ._layers import Layer
from ._marks import MARK, Leaf
from ._programs import programs
from ._tokens import as_map

Spots = dict[Hashable, dict[int, Layer]]  # by the mark's name, then by the number of the call


def spots_of(
    layers: Sequence[Layer],
    program: Jaxpr,
    space: tuple[int, ...],
    tokens: int | None,
    missing: Callable[[Layer, list], str],
) -> tuple[Spots, dict[str, Any]]:
    """Where in the program the layers are, and the types of their activations by label.

    Args:
        space: the image's spatial shape.
        tokens: number of leading non-spatial tokens.
        missing: the error where no mark has a layer's name; gets the names that there are, of the name's type.
    """
    passes, types = passed_in(program), _types(program)
    spots: Spots = {}
    found = {}
    for layer in layers:
        name, call = layer.name, layer.call
        if layer.label in passes:  # a tap whose name ends with a number in brackets
            name, call = layer.label, None
        if name not in passes:
            leaves = {each.key: each for each in types if isinstance(each, Leaf) and each.layer == name}
            if not leaves:
                raise ValueError(missing(layer, [each for each in types if type(each) is type(name)]))
            name = _leaf(layer, leaves, types, space, tokens)
        elif layer.leaf is not None:
            raise ValueError(f"{layer.who} returns one array, so it has no leaf {layer.leaf!r}")
        count = passes[name]
        if call is None and count > 1:
            raise ValueError(_several_calls(layer, count))
        if call is not None and not -count <= call < count:
            raise ValueError(
                f"{layer.who} does not exist: that layer is called {count} times, [0] to [{count - 1}]"
            )
        spots.setdefault(name, {})[(call or 0) % count] = layer
        found[layer.label] = types[name]
    return spots, found


def _several_calls(layer: Layer, count: int) -> str:
    first, last = f"{layer.label}[0]", f"{layer.label}[{count - 1}]"
    return (
        f"{layer.who} is called more than once for one image ({count} times), so it has no single activation: probe "
        f"one of its calls, {first!r} to {last!r}, or a layer that is called once"
    )


def _leaf(
    layer: Layer, leaves: dict[str, Leaf], types: Mapping, space: tuple[int, ...], tokens: int | None
) -> Leaf:
    """The leaf of what a layer returns that is named, or else the one that is a map."""
    described = ", ".join(f"{key!r} {tuple(types[each].shape)}" for key, each in leaves.items())
    if layer.leaf is not None:
        if layer.leaf not in leaves:
            raise ValueError(f"{layer.who} returns no leaf {layer.leaf!r}; it returns {cut(described, 1000)}")
        return leaves[layer.leaf]
    maps = [key for key, each in leaves.items() if _is_map(types[each], space, tokens, layer.who)]
    if len(maps) == 1:
        return leaves[maps[0]]
    number = "several leaves that can be a map" if maps else "no leaf that is a map"
    advice = f": name one, such as {f'{layer.label}:{maps[0]}'!r}" if maps else ""
    raise ValueError(f"{layer.who} returns {number}{advice}. It returns {cut(described, 1000)}")


def _is_map(kind: Any, space: tuple[int, ...], tokens: int | None, who: str) -> bool:
    try:
        jax.eval_shape(
            lambda x: as_map(x, space, tokens, who)[0], jax.ShapeDtypeStruct(kind.shape, kind.dtype)
        )
    except ValueError:
        return False
    return jnp.issubdtype(kind.dtype, jnp.floating)


def passed_by(equation: JaxprEqn) -> Counter[Hashable]:
    """How often an equation passes each mark inside it."""
    rounds = equation.params["length"] if equation.primitive.name == "scan" else 1
    found: Counter[Hashable] = Counter()
    for inner in programs(equation):
        found.update(times(passed_in(inner), rounds))
    return found


def passed_in(program: Jaxpr) -> Counter[Hashable]:
    """How often a program passes each mark. The body of a `while` and each branch of a condition count once."""
    found: Counter[Hashable] = Counter()
    for equation in program.eqns:
        if equation.primitive is MARK:
            found[equation.params["name"]] += 1
        else:
            found.update(passed_by(equation))
    return found


def times(passes: Counter[Hashable], factor: int) -> Counter[Hashable]:
    return Counter({name: count * factor for name, count in passes.items()})


def _types(program: Jaxpr) -> dict[Hashable, Any]:
    """The type of the activation at each mark, the first of each name."""
    found: dict[Hashable, Any] = {}
    for equation in program.eqns:
        if equation.primitive is MARK:
            found.setdefault(equation.params["name"], equation.outvars[0].aval)
        for inner in programs(equation):
            found = {**_types(inner), **found}
    return found
