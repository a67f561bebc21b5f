"""A model's program, run equation by equation, that stops at the marks of the layers which are probed."""

import functools
from collections import Counter
from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, PyTree

from ._layers import INPUT, Layer
from ._loops import Loop, Piece
from ._marks import MARK, mark, varied
from ._programs import called, opened
from ._spots import Spots, passed_by, passed_in, spots_of, times

# Yields a layer and its activation as the model has it; gets what the rest of the model goes on with.
Steps = Generator[tuple[Layer, Array], Array, Any]
Part = Generator[tuple[Layer, Array], Array, list]  # of a program, which returns its outputs
Inputs = tuple[tuple, dict[str, Any]]  # further arguments of a model: by position, by keyword


class Walk(NamedTuple):
    """A run of a model that is under way.

    Attributes:
        types: of the layers' activations, by label.
        steps: stops at each layer, and returns the model's output.
    """

    types: Mapping[str, Any]
    steps: Steps


def onward(steps: Steps, activation: Array) -> tuple[Layer | None, Any]:
    """The next layer and its activation; after the last one, None and the model's output."""
    try:
        return steps.send(activation)
    except StopIteration as end:
        return None, end.value


@runtime_checkable
class Marked(Hashable, Protocol):
    """A model whose program holds marks.

    Attributes:
        layers: those that are probed.
        tokens: number of leading non-spatial tokens.
    """

    @property
    def layers(self) -> tuple[Layer, ...]: ...

    @property
    def tokens(self) -> int | None: ...

    def program(self, parameters: PyTree, inputs: Inputs, images: Array) -> tuple[PyTree, dict[str, Array]]:
        """Runs the model, marking as it goes: the output, and what else `check` looks at, by name."""
        ...

    def check(self, program: Any, parameters: Any, after: dict[str, Any]) -> None:
        """Raises ValueError where the program, whose last outputs are those of `after`, cannot be probed."""
        ...

    def missing(self, parameters: PyTree, layer: Layer, names: list) -> str:
        """The error where no mark has the layer's name; `names` are those that there are, of the name's type."""
        ...


def walk(
    model: Marked, parameters: PyTree, inputs: Inputs, images: Array, axes: frozenset[str] = frozenset()
) -> Walk:
    """Runs a model up to the first of its layers, then to the next.

    Args:
        axes: of a mesh, along which the layers' activations vary once they are changed.
    """

    def located():
        space = images.shape[1:-1]
        return spots_of(
            model.layers, program.jaxpr, space, model.tokens, functools.partial(model.missing, parameters)
        )

    program, (shapes, after) = _trace(model, parameters, inputs, images)
    spots, types = located()
    if axes:
        with varied(frozenset(spots), axes):  # the types of all that follows are others
            program, (shapes, after) = _trace(model, parameters, inputs, images)
        spots, types = located()
    model.check(program.jaxpr, parameters, after)
    leaves = jax.tree.leaves((parameters, inputs, images))
    structure = jax.tree.structure(shapes)

    def steps() -> Steps:
        outputs = yield from _Walker(spots).run(program.jaxpr, program.consts, leaves)
        found = outputs[: structure.num_leaves]  # constants among them are numbers
        return jax.tree.unflatten(
            structure,
            [
                each if isinstance(each, jax.Array) else jnp.asarray(each, atom.aval.dtype)
                for each, atom in zip(found, program.jaxpr.outvars, strict=False)
            ],
        )

    return Walk(types, steps())


def _program(
    model: Marked, parameters: PyTree, inputs: Inputs, images: Array
) -> tuple[PyTree, dict[str, Array]]:
    if any(layer.name == INPUT for layer in model.layers):
        images = mark(images, INPUT)
    return model.program(parameters, inputs, images)


# One function for all models, so that a model is traced once for all calls with arrays of the same types.
_trace = jax.make_jaxpr(_program, static_argnums=0, return_shape=True)


class _Walker:
    """Runs programs, and stops at the spots.

    Attributes:
        done: how often each mark was passed.
    """

    def __init__(self, spots: Spots):
        self.spots = spots
        self.done: Counter[Hashable] = Counter()

    def run(self, program: Jaxpr, consts: Sequence, inputs: Sequence) -> Part:
        """Runs a program; returns its outputs."""
        values: dict[Var, Any] = dict(
            zip([*program.constvars, *program.invars], [*consts, *inputs], strict=True)
        )

        def value(atom: Var | Literal) -> Any:
            return atom.val if isinstance(atom, Literal) else values[atom]

        for equation in program.eqns:
            given = [value(atom) for atom in equation.invars]
            if equation.primitive is MARK:
                name = equation.params["name"]
                layer = self.spots.get(name, {}).get(self.done[name])
                self.done[name] += 1
                outputs = given
                if layer is not None:
                    _check_used(program, equation.outvars[0], layer)
                    outputs = [(yield layer, given[0])]
            elif self._stops_in(passed := passed_by(equation)):
                outputs = yield from self._enter(equation, given)
            else:
                with equation.ctx.manager:
                    outputs = equation.primitive.bind(
                        *given, **equation.primitive.get_bind_params(equation.params)
                    )
                outputs = outputs if equation.primitive.multiple_results else [outputs]
                self.done.update(passed)
            values.update(zip(equation.outvars, outputs, strict=True))
        return [value(atom) for atom in program.outvars]

    def _stops_in(self, passed: Mapping[Hashable, int]) -> Layer | None:
        """The first layer whose activation is among the next marks, so many of each name."""
        for name, count in passed.items():
            for call, layer in self.spots.get(name, {}).items():
                if 0 <= call - self.done[name] < count:
                    return layer
        return None

    def _enter(self, equation: JaxprEqn, given: list) -> Part:
        if equation.primitive.name == "scan":
            return (yield from self._loop(equation, given))
        inner = called(equation)
        if inner is None:
            layer = self._stops_in(passed_by(equation))
            raise ValueError(
                f"{layer.who if layer else 'a layer'} lies inside a {equation.primitive.name}, which may run it more "
                "than once or not at all: mark an activation outside of `while` loops, branches and functions with "
                "derivatives of their own"
            )
        return (yield from self.run(opened(inner), getattr(inner, "consts", ()), given))

    def _loop(self, equation: JaxprEqn, given: list) -> Part:
        """A scan, of which those rounds are run by themselves in which there is a layer."""
        loop = Loop.of(equation, given)
        once = passed_in(loop.body)
        start = Counter(self.done)
        calls = [
            (call - start[name], count) for name, count in once.items() for call in self.spots.get(name, ())
        ]
        rounds = sorted({call // count for call, count in calls if 0 <= call < count * loop.length})
        pieces: list[Piece] = []
        carry, after = loop.carry, 0
        for number in rounds:
            carry = loop.stretch(carry, after, number, pieces)
            self.done = start + times(once, number)
            outputs = yield from self.run(loop.body, loop.values, loop.inputs_of(number, carry))
            carry, after = loop.take(number, outputs, pieces), number + 1
        carry = loop.stretch(carry, after, loop.length, pieces)
        self.done = start + times(once, loop.length)
        return [*carry, *loop.joined(pieces)]


def _check_used(program: Jaxpr, marked: Var, layer: Layer) -> None:
    atoms = [*program.outvars, *(atom for equation in program.eqns for atom in equation.invars)]
    if not any(atom is marked for atom in atoms):
        advice = (
            "go on with what jaxcam.tap returns, `x = jaxcam.tap(x, ...)`"
            if layer.kind == "tap"
            else "what it returns does not reach the output; probe a layer that does"
        )
        raise ValueError(f"{layer.who} is not used: {advice}")
