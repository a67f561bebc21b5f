"""`tap` marks an activation inside any JAX function; a probe finds the mark in the function's program.

The mark is a primitive that does nothing. Because it is part of the program, and not of what Python does while the
program is made, it is found inside functions that were compiled before, and outside a probe it costs nothing.
"""

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal, Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

from ._anatomy import Edit
from ._errors import called_twice, unknown
from ._tokens import as_map


def tap(activation: Array, name: str, *, channels: int = -1) -> Array:
    """The activation itself, marked for `jaxcam.probe(function, name)`. Outside a probe it does nothing.

    Args:
        activation: `(B, h, w, K)`, or tokens `(B, tokens, K)`. In a function that `jax.vmap` maps over images, the
            activation of one image.
        name: what a probe calls it. A program that is probed has it once.
        channels: the axis K, where it is not the last: 0 for `(K, h, w)`, as in Equinox.

    Raises:
        TypeError: something that is no array, a name that is no string.

    Example:
        >>> import jax, jaxcam
        >>> def logits(weights, images):
        ...     activation = jaxcam.tap(jax.nn.relu(images @ weights["pixels"]), "pixels")
        ...     return activation.mean(axis=(1, 2)) @ weights["classes"]
        >>> weights = {"pixels": jax.numpy.ones((3, 8)), "classes": jax.numpy.ones((8, 10))}
        >>> jaxcam.gradcam(jaxcam.probe(logits, "pixels", variables=weights), jax.numpy.ones((4, 5, 3)), 7).shape
        (4, 5)
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a tap is a string; got {name!r}")
    if not hasattr(activation, "ndim"):
        raise TypeError(f"tap {name!r} marks an array; got {type(activation).__name__}")
    return jnp.moveaxis(mark(jnp.moveaxis(activation, channels, -1), name), -1, channels)


def mark(activation: Array, name: Hashable) -> Array:
    return _mark.bind(activation, name=name)


_mark = Primitive("jaxcam_tap")
_mark.def_impl(lambda x, *, name: x)
_mark.def_abstract_eval(lambda x, *, name: x)
mlir.register_lowering(_mark, lambda context, x, *, name: [x])
ad.primitive_jvps[_mark] = lambda primals, tangents, *, name: (mark(primals[0], name), tangents[0])
batching.primitive_batchers[_mark] = lambda xs, axes, *, name: (
    mark(jnp.moveaxis(xs[0], axes[0], 0), name),
    0,
)


@dataclasses.dataclass(frozen=True)
class Tapped:
    """A function with a tap. The probe's parameters are the function, and its variables if it has any."""

    name: str
    call: tuple[tuple[str, Any], ...] = ()
    tokens: int | None = None

    def __repr__(self) -> str:
        return self.name

    def run(self, parameters: tuple, images: Array, edit: Edit) -> tuple[Any, Array]:
        def program(parameters, images):
            function, *variables = parameters
            return function(*variables, images, **dict(self.call))

        def missing(names: list) -> str:
            if names:
                return unknown("tap", self.name, names)
            return f"no tap {self.name!r}: the function marks no activation with jaxcam.tap(activation, {self.name!r})"

        return run_marked(
            program, parameters, images, edit, self.name, f"tap {self.name!r}", self.tokens, missing
        )


def run_marked(
    function: Callable,
    parameters: Any,
    images: Array,
    edit: Edit,
    name: Hashable,
    who: str,
    tokens: int | None,
    missing: Callable[[list], str],
) -> tuple[Any, Array]:
    """Runs `function(parameters, images)` with an edit at a mark.

    Args:
        name: of the mark.
        who: the mark in words.
        missing: names of the marks that there are -> the error where this one is not among them.

    Returns:
        Output, and activation before the edit.
    """
    program, shapes = jax.make_jaxpr(function, return_shape=True)(parameters, images)
    names = list(_marks(program.jaxpr))
    if name not in names:
        raise ValueError(missing([each for each in dict.fromkeys(names) if type(each) is type(name)]))
    if names.count(name) > 1:
        raise ValueError(called_twice(who))
    seen = []

    def change(activation: Array) -> Array:
        as_seen, restore = as_map(activation, (images.shape[1], images.shape[2]), tokens, who)
        seen.append(as_seen)
        return restore(edit(as_seen))

    leaves = jax.tree.leaves((parameters, images))
    outputs = _evaluate(program.jaxpr, program.consts, leaves, name, who, change)
    return jax.tree.unflatten(jax.tree.structure(shapes), outputs), seen[0]


# What runs a program once, as it is, and where it has the program.
_CALLS = {"jit": "jaxpr", "remat2": "jaxpr", "closed_call": "call_jaxpr"}


def _evaluate(program: Any, consts: Any, inputs: Any, name: Hashable, who: str, change: Callable) -> list:
    """The program's outputs, with `change` at the mark; what does not hold the mark is handed on as it is."""
    values = dict(zip([*program.constvars, *program.invars], [*consts, *inputs], strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in program.eqns:
        given = [value(atom) for atom in equation.invars]
        if equation.primitive is _mark and equation.params["name"] == name:
            _check_used(program, equation.outvars[0], who)
            values[equation.outvars[0]] = change(*given)
        elif any(name in _marks(inner) for inner in _programs(equation)):
            if equation.primitive.name not in _CALLS:
                raise ValueError(
                    f"{who} lies inside a {equation.primitive.name}, which may run it more than once or not at all: "
                    "mark an activation outside of loops, branches and functions with derivatives of their own"
                )
            inner = equation.params[_CALLS[equation.primitive.name]]
            inner_program, inner_consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            outputs = _evaluate(inner_program, inner_consts, given, name, who, change)
            values.update(zip(equation.outvars, outputs, strict=True))
        else:
            primitive = equation.primitive
            with equation.ctx.manager:
                outputs = primitive.bind(*given, **primitive.get_bind_params(equation.params))
            outputs = outputs if primitive.multiple_results else [outputs]
            values.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in program.outvars]


def _marks(program: Any) -> Iterator[Hashable]:
    """Names of the marks in a program, as often as they are there."""
    for equation in program.eqns:
        if equation.primitive is _mark:
            yield equation.params["name"]
        for inner in _programs(equation):
            yield from _marks(inner)


def _programs(equation: Any) -> Iterator[Any]:
    """The programs that an equation runs: the body of a jit or a loop, the branches of a condition."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else [value]:
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                yield inner


def _check_used(program: Any, marked: Any, who: str) -> None:
    atoms = [*program.outvars, *(atom for equation in program.eqns for atom in equation.invars)]
    if not any(atom is marked for atom in atoms):
        raise ValueError(f"{who} is not used: go on with what jaxcam.tap returns, `x = jaxcam.tap(x, ...)`")
