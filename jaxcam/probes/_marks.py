"""Marks in a model's program, and the program as two parts: up to a mark, and the rest.

A mark is a primitive that does nothing. Because it is part of the program, and not of what Python does while the
program is made, it is found inside functions that were compiled before, and outside a probe it costs nothing.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Primitive, Var
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, PyTree

from .._errors import called_twice
from ._programs import called, opened, programs
from ._tokens import as_map

Rest = Callable[[Array], PyTree]


def mark(activation: Array, name: Hashable) -> Array:
    chosen, axes = _varied.value
    if name == chosen:
        activation = jax.lax.pcast(activation, axes, to="varying")
    return _mark.bind(activation, name=name)


def varying(x: Array) -> frozenset:
    """The axes of a mesh along which devices hold values of their own, inside `jax.shard_map`."""
    return jax.typeof(x).manual_axis_type.varying


# A mark's name, and axes of a mesh along which the activation varies once it is changed there.
_varied = jax.make_user_context(default_value=(None, ()))


def mark_layer(returned: object, path: tuple[str, ...], who: str) -> Array:
    """Marks what a layer returns with the layer's path."""
    if not isinstance(returned, jax.Array):
        raise ValueError(f"{who} returns {type(returned).__name__}, not an array: probe one of its parts")
    return mark(returned, path)


_mark = Primitive("jaxcam_tap")
_mark.def_impl(lambda x, *, name: x)
_mark.def_abstract_eval(lambda x, *, name: x)
mlir.register_lowering(_mark, lambda context, x, *, name: [x])
ad.primitive_jvps[_mark] = lambda primals, tangents, *, name: (mark(primals[0], name), tangents[0])
batching.primitive_batchers[_mark] = lambda xs, axes, *, name: (
    mark(jnp.moveaxis(xs[0], axes[0], 0), name),
    0,
)


@runtime_checkable
class Marked(Hashable, Protocol):
    """A model whose program holds marks.

    Attributes:
        name: of the mark that is looked at.
        who: that mark in words.
        tokens: number of leading non-spatial tokens.
    """

    @property
    def name(self) -> Hashable: ...

    @property
    def who(self) -> str: ...

    @property
    def tokens(self) -> int | None: ...

    def program(self, parameters: PyTree, images: Array) -> tuple[PyTree, dict[str, Array]]:
        """Runs the model, marking as it goes: the output, and what else `check` looks at, by name."""
        ...

    def check(self, program: Any, parameters: Any, after: dict[str, Any]) -> None:
        """Raises ValueError where the program, whose last outputs are those of `after`, cannot be probed."""
        ...

    def missing(self, parameters: PyTree, names: list) -> str:
        """The error where no mark has the name; `names` are those that there are, of the name's type."""
        ...


def split_at_mark(model: Marked, parameters: PyTree, images: Array) -> tuple[Array, Rest]:
    """The activation at the mark as a map `(1, h, w, K)`, and the function of a changed one that runs the rest."""
    activation, run = _split(model, parameters, images)
    seen, restore = as_map(activation, images.shape[1:-1], model.tokens, model.who)

    def rest(changed: Array) -> PyTree:
        if not (more := varying(changed) - varying(seen)):
            return run(restore(changed))
        with _varied((model.name, tuple(sorted(more)))):  # the types of all that follows are others
            return _split(model, parameters, images)[1](restore(changed))

    return seen, rest


def _split(model: Marked, parameters: PyTree, images: Array) -> tuple[Array, Rest]:
    """`split_at_mark` for an activation as the model has it."""
    program, (shapes, after) = _trace(model, parameters, images)
    model.check(program.jaxpr, parameters, after)
    names = list(_marks(program.jaxpr))
    if model.name not in names:
        same_kind = [each for each in dict.fromkeys(names) if type(each) is type(model.name)]
        raise ValueError(model.missing(parameters, same_kind))
    if names.count(model.name) > 1:
        raise ValueError(called_twice(model.who))
    leaves = jax.tree.leaves((parameters, images))
    activation, frames = _before(program.jaxpr, program.consts, leaves, model.name, model.who)
    structure = jax.tree.structure(shapes)

    def run(changed: Array) -> PyTree:
        return jax.tree.unflatten(structure, _after(frames, changed)[: structure.num_leaves])

    return activation, run


def _program(model: Marked, parameters: PyTree, images: Array) -> tuple[PyTree, dict[str, Array]]:
    return model.program(parameters, images)


# One function for all models, so that a model is traced once for all calls with arrays of the same types.
_trace = jax.make_jaxpr(_program, static_argnums=0, return_shape=True)


class _Frame(NamedTuple):
    """A program that has run up to an equation: the values so far, and what that equation is to give."""

    program: Jaxpr
    position: int
    values: dict

    def value(self, atom: Var | Literal) -> Any:
        return atom.val if isinstance(atom, Literal) else self.values[atom]

    def run(self, equation: JaxprEqn) -> None:
        primitive, given = equation.primitive, [self.value(atom) for atom in equation.invars]
        with equation.ctx.manager:
            outputs = primitive.bind(*given, **primitive.get_bind_params(equation.params))
        outputs = outputs if primitive.multiple_results else [outputs]
        self.values.update(zip(equation.outvars, outputs, strict=True))


def _before(
    program: Jaxpr, consts: Sequence, inputs: Sequence, name: Hashable, who: str
) -> tuple[Array, list[_Frame]]:
    """The activation at the mark, and the programs that are under way there, the innermost first."""
    frame = _Frame(
        program, 0, dict(zip([*program.constvars, *program.invars], [*consts, *inputs], strict=True))
    )
    for position, equation in enumerate(program.eqns):
        frame = frame._replace(position=position)
        if equation.primitive is _mark and equation.params["name"] == name:
            _check_used(program, equation.outvars[0], who)
            return frame.value(equation.invars[0]), [frame]
        if any(name in _marks(inner) for inner in programs(equation)):
            inner = called(equation)
            if inner is None:
                raise ValueError(
                    f"{who} lies inside a {equation.primitive.name}, which may run it more than once or not at all: "
                    "mark an activation outside of loops, branches and functions with derivatives of their own"
                )
            given = [frame.value(atom) for atom in equation.invars]
            activation, frames = _before(opened(inner), getattr(inner, "consts", ()), given, name, who)
            return activation, [*frames, frame]
        frame.run(equation)
    raise AssertionError("the mark was counted before")


def _after(frames: list[_Frame], changed: Array) -> list:
    """The outermost program's outputs, with the changed activation at the mark."""
    outputs = [changed]
    for program, position, values in frames:
        made = dict(zip(program.eqns[position].outvars, outputs, strict=True))
        frame = _Frame(
            program, position, values | made
        )  # a copy: the rest may run again with another activation
        for equation in program.eqns[position + 1 :]:
            frame.run(equation)
        outputs = [frame.value(atom) for atom in program.outvars]
    return outputs


def _marks(program: Jaxpr) -> Iterator[Hashable]:
    """Names of the marks in a program, as often as they are there."""
    for equation in program.eqns:
        if equation.primitive is _mark:
            yield equation.params["name"]
        for inner in programs(equation):
            yield from _marks(inner)


def _check_used(program: Jaxpr, marked: Var, who: str) -> None:
    atoms = [*program.outvars, *(atom for equation in program.eqns for atom in equation.invars)]
    if not any(atom is marked for atom in atoms):
        raise ValueError(f"{who} is not used: go on with what jaxcam.tap returns, `x = jaxcam.tap(x, ...)`")
