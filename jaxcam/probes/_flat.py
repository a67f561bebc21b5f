"""A program without calls: its equations in one list, with what depends on the image told from what does not."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array, PyTree

from ._interpret import as_it_is, inside, replaced
from ._programs import called, programs

_SOFTMAX = {"exp", "reduce_sum", "div"}
Values = dict[Var, Any]


class Flat(NamedTuple):
    """A program whose calls are written out, of which nothing is left that its first outputs do not need.

    Attributes:
        program: what it runs; `consts`: values of its constants.
        structure: of the first outputs.
        dependent: the variables that depend on the last input.
        maker: the number of the equation that makes each variable.
    """

    program: Jaxpr
    consts: Sequence
    structure: Any
    dependent: frozenset[Var]
    maker: Mapping[Var, int]

    def made_by(self, atom: Var | Literal) -> JaxprEqn | None:
        """The equation that makes a value; None for an input or a number."""
        number = None if isinstance(atom, Literal) else self.maker.get(atom)
        return None if number is None else self.program.eqns[number]

    def start(self, leaves: Sequence) -> Values:
        """The values of the inputs."""
        atoms = [*self.program.constvars, *self.program.invars]
        return dict(zip(atoms, [*self.consts, *leaves], strict=True))

    def run(
        self,
        values: Values,
        changed: Mapping[Var, Callable[[Array], Array]],
        numbers: Iterable[int] | None = None,
    ) -> None:
        """Runs the equations, or those of some numbers, and adds what they make to the values.

        Args:
            changed: by variable, a function of its value that returns what the equations after it get.
        """
        equations = self.program.eqns
        for number in range(len(equations)) if numbers is None else numbers:
            equation = equations[number]
            outputs = as_it_is(equation, [_value(values, atom) for atom in equation.invars])
            for atom, found in zip(equation.outvars, outputs, strict=True):
                values[atom] = changed[atom](found) if atom in changed else found

    def output(self, values: Values) -> PyTree:
        return jax.tree.unflatten(self.structure, [_value(values, atom) for atom in self.program.outvars])


def _value(values: Values, atom: Var | Literal) -> Any:
    return jnp.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]


def flattened(function: Callable[..., tuple[PyTree, PyTree]], *arguments: PyTree) -> tuple[Flat, PyTree]:
    """The program of the first of a function's two outputs, and the type of the second.

    Compiled and rematerialised functions are written out, rounds of a scan and functions with derivatives of their own
    where a softmax lies inside.
    """
    whole = replaced(function, _rule, _calls)
    program, shapes = jax.make_jaxpr(whole, return_shape=True)(*arguments)
    output, other = shapes
    kept = len(jax.tree.leaves(output))
    wanted = [number < kept for number in range(len(program.jaxpr.outvars))]
    needed, _ = dce_jaxpr(program.jaxpr, wanted, instantiate=True)
    images = len(jax.tree.leaves(arguments[-1]))
    dependent = set(needed.invars[len(needed.invars) - images :])
    for equation in needed.eqns:
        if any(not isinstance(atom, Literal) and atom in dependent for atom in equation.invars):
            dependent.update(equation.outvars)
    maker = {atom: number for number, equation in enumerate(needed.eqns) for atom in equation.outvars}
    flat = Flat(needed, program.consts, jax.tree.structure(output), frozenset(dependent), maker)
    return flat, other


def _opens(equation: JaxprEqn) -> bool:
    """Whether the program inside an equation is written out."""
    if called(equation) is not None:
        return True
    own = equation.primitive.name in ("custom_jvp_call", "custom_vjp_call", "scan")
    return own and {each.primitive.name for each in nested(equation)} >= _SOFTMAX


def _calls(equation: JaxprEqn) -> bool:
    return any(True for _ in programs(equation))


def _rule(equation: JaxprEqn, given: list) -> Sequence | None:
    return inside(equation, given, _rule, _calls) if _opens(equation) else as_it_is(equation, given)


def nested(equation: JaxprEqn) -> Iterator[JaxprEqn]:
    """The equations inside an equation, at every depth."""
    for inner in programs(equation):
        for each in inner.eqns:
            yield each
            yield from nested(each)


def names(equations: Sequence[JaxprEqn]) -> tuple[str, ...]:
    return tuple(each.primitive.name for each in equations)


def cuts(flat: Flat) -> list[Var | None]:
    """After each equation, the one variable through which all that follows depends on the image; None where there are
    several: two branches, such as those of a residual connection."""
    equations = flat.program.eqns
    last = {
        atom: number
        for number, equation in enumerate(equations)
        for atom in equation.invars
        if not isinstance(atom, Literal) and atom in flat.dependent
    }
    alive: Counter[Var] = Counter(atom for atom in last if atom not in flat.maker)
    found: list[Var | None] = []
    for number, equation in enumerate(equations):
        for atom in {id(each): each for each in equation.invars if not isinstance(each, Literal)}.values():
            if last.get(atom) == number:
                del alive[atom]
        alive.update(atom for atom in equation.outvars if atom in last)
        found.append(next(iter(alive)) if len(alive) == 1 else None)
    return found
