"""A JAX program, run equation by equation with some of its equations replaced."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import PyTree

from ._loops import Loop
from ._programs import called, opened, programs

# Gets an equation and the values of its inputs; returns its outputs, or None for what it does by itself.
Rule = Callable[[JaxprEqn, list], Sequence | None]


def replaced(function: Callable, rule: Rule, concerns: Callable[[JaxprEqn], bool]) -> Callable:
    """A function of arrays with some of the equations of its program replaced.

    It goes into compiled functions, rematerialised ones, functions with derivatives of their own (whose derivative
    then is that of their program) and rounds of a scan, wherever an equation that concerns it lies inside. A function
    with its own derivative is shown to `rule` before it is opened, so that it can be replaced as a whole.

    Args:
        rule: equation, values of its inputs -> values of its outputs, or None to leave it as it is.
        concerns: whether an equation may be one that `rule` replaces.
    """

    def run(*arguments: PyTree) -> PyTree:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        leaves = jax.tree.leaves(arguments)
        outputs = interpret(program.jaxpr, program.consts, leaves, rule, concerns)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return run


def interpret(
    program: Jaxpr, consts: Sequence, inputs: Sequence, rule: Rule, concerns: Callable[[JaxprEqn], bool]
) -> list:
    """Runs a program as `replaced` does; returns its outputs."""
    values: dict[Var, Any] = dict(zip([*program.constvars, *program.invars], [*consts, *inputs], strict=True))

    def value(atom: Var | Literal) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in program.eqns:
        given = [value(atom) for atom in equation.invars]
        outputs = rule(equation, given) if concerns(equation) else None
        if outputs is None and holds(equation, concerns):
            outputs = inside(equation, given, rule, concerns)
        if outputs is None:
            outputs = as_it_is(equation, given)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in program.outvars]


def as_it_is(equation: JaxprEqn, given: Sequence) -> Sequence:
    """The outputs of an equation."""
    with equation.ctx.manager:
        found = equation.primitive.bind(*given, **equation.primitive.get_bind_params(equation.params))
    return found if equation.primitive.multiple_results else [found]


def holds(equation: JaxprEqn, concerns: Callable[[JaxprEqn], bool]) -> bool:
    """Whether an equation that is concerned lies inside this one."""
    return any(concerns(each) or holds(each, concerns) for inner in programs(equation) for each in inner.eqns)


def body_of(equation: JaxprEqn) -> Jaxpr | ClosedJaxpr | None:
    """The program that an equation runs once, that of a function with its own derivative too."""
    inner = called(equation)
    if inner is None and equation.primitive.name in ("custom_jvp_call", "custom_vjp_call"):
        return equation.params["call_jaxpr"]
    return inner


def inside(equation: JaxprEqn, given: list, rule: Rule, concerns: Callable) -> list | None:
    """The outputs of an equation whose program is run as `interpret` does; None for a `while` or a branch."""
    if equation.primitive.name == "scan":
        loop = Loop.of(equation, given)
        carry, pieces = loop.carry, []
        for number in range(loop.length):
            outputs = interpret(loop.body, loop.values, loop.inputs_of(number, carry), rule, concerns)
            carry = loop.take(number, outputs, pieces)
        return [*carry, *loop.joined(pieces)]
    inner = body_of(equation)
    if inner is None:  # a `while` or a branch
        return None
    return interpret(opened(inner), getattr(inner, "consts", ()), given, rule, concerns)
