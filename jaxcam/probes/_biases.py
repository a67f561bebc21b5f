"""The biases of a program: constants that it adds to values which depend on its input, and the gradients there."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn
from jaxtyping import Array

from ._facts import Facts
from ._interpret import as_it_is, body_of, inside, interpret
from ._marks import varying
from ._probe import zeros_of


class Bias(NamedTuple):
    """One place where a program adds a constant.

    Attributes:
        value: the constant; its shape is that of the sum, or can be broadcast to it.
        gradient: of the program's output by the sum.
        passes: whether the constant depends on the function's further argument, as what a shortcut carries past x does.
    """

    value: Array
    gradient: Array
    passes: bool


class Biases(NamedTuple):
    """Output of a program, the gradient of its input, and its biases.

    Attributes:
        channels_first: whether the program's convolutions have their channels before the spatial axes.
    """

    output: Array
    gradient: Array
    biases: list[Bias]
    channels_first: bool


def biases_of(function: Callable[[Array, Array], Array], x: Array, other: Array) -> Biases:
    """The biases of a function `(x, other) -> number`, all gradients by x and by them from one backward pass.

    For a function that is piecewise linear and continues through the origin but for its biases, such as a network of
    convolutions, batch norms, ReLUs, maxima and means, `s = Σ x ⊙ ∂s/∂x + Σ_b Σ b ⊙ ∂s/∂b`.

    A constant that is subtracted first and scaled then, as a batch norm's mean is, is one bias with the constant that
    is added last: `(x - μ) γ/σ + β` has the bias `β - μ γ/σ`. A bias in a branch, or in a function with a derivative of
    its own, is not found.
    """
    program = jax.make_jaxpr(function)(x, other)
    if missing := program.out_avals[0].manual_axis_type.varying - varying(x):  # pyright: ignore[reportAttributeAccessIssue]
        # x is the same on devices that go on differently: their gradients would be summed
        return biases_of(function, jax.lax.pcast(x, tuple(sorted(missing)), to="varying"), other)

    def run(x: Array, zeros: Sequence[Array] | None) -> tuple[Array, _Finder]:
        finder = _Finder(x, other, zeros)
        (found,) = interpret(program.jaxpr, program.consts, [x, other], finder.rule, lambda _: True)
        return finder.closed(found), finder

    # Run it once for the types of the sums, then with a zero added to each.
    finders = []

    def sums(x: Array) -> list[Array]:
        finders.append(run(x, None)[1])
        return finders[-1].sums

    def with_zeros(x: Array, zeros: list[Array]) -> tuple[Array, list[Array]]:
        output, finder = run(x, zeros)
        return output, finder.biases

    zeros = [zeros_of(kind) for kind in jax.make_jaxpr(sums)(x).out_avals]
    output, pull, values = jax.vjp(with_zeros, x, zeros, has_aux=True)
    gradient, others = pull(jnp.ones_like(output))
    biases = list(map(Bias, values, others, finders[-1].passes))
    return Biases(output, gradient, biases, finders[-1].channels_first)


class _Finder:
    """Runs a program, and adds a zero to each sum of a value that depends on the input and a constant.

    Attributes:
        pending: of each value that depends on the input, the constant in it that belongs to a bias to be found
            further on; None where there is none.
        with_zero: of a value with such a constant, the same value with the zero added that closes it.
        passing: the values that depend on the further argument, but not on the input.
    """

    def __init__(self, x: Array, other: Array, zeros: Sequence[Array] | None):
        self.zeros = zeros
        self.biases: list[Array] = []
        self.sums: list[Array] = []
        self.passes: list[bool] = []
        self.channels_first = False
        self.pending: Facts[tuple[Any]] = Facts()
        self.with_zero: Facts[Array] = Facts()
        self.passing: Facts[bool] = Facts()
        self.passing.learn(other, True)
        self.pending.learn(x, (None,))

    def rule(self, equation: JaxprEqn, given: list) -> Sequence | None:
        name = equation.primitive.name
        depends = [self.pending.of(value) is not None for value in given]
        if not any(depends):
            return self._learnt(as_it_is(equation, given), given)
        if name == "scan" or (body_of(equation) is not None and not name.startswith("custom_")):
            found = inside(equation, given, self.rule, lambda _: True) or []
            if name == "scan":  # what its rounds stack is put together outside of this rule
                for value in found:
                    if self.pending.of(value) is None:
                        self.pending.learn(value, (None,))
            return found
        if len(given) == 2 and depends.count(True) == 1:
            at = depends.index(True)
            x, constant = given[at], given[1 - at]
            (before,) = self.pending.of(x) or (None,)
            if name == "mul" or (name == "div" and at == 0):
                (found,) = as_it_is(equation, given)
                scale = jnp.multiply if name == "mul" else jnp.divide
                pending = None if before is None else scale(before, constant)
                self._learnt([pending], [before, constant])
                self.pending.learn(found, (pending,))
                return [found]
            if name in ("add", "add_any", "sub"):
                (found,) = as_it_is(equation, given)
                if name == "sub" and at == 0:
                    pending = jnp.subtract(0 if before is None else before, constant)
                    self._learnt([pending], [before, constant])
                    self.pending.learn(found, (pending,))
                    return [found]
                if before is not None:
                    added = jnp.subtract(constant, before) if name == "sub" else jnp.add(constant, before)
                    self._learnt([added], [before, constant])
                    constant = added
                return [self._sum(found, constant)]
        if (
            name in ("convert_element_type", "neg")
            and (before := (self.pending.of(given[0]) or (None,))[0]) is not None
        ):
            (found,), (constant,) = as_it_is(equation, given), as_it_is(equation, [before])
            self._learnt([constant], [before])
            self.pending.learn(found, (constant,))
            return [found]
        if name == "conv_general_dilated":
            self.channels_first |= equation.params["dimension_numbers"].out_spec[1] == 1
        outputs = as_it_is(equation, list(map(self.closed, given)))
        for value in outputs:
            self.pending.learn(value, (None,))
        return outputs

    def closed(self, value: Any) -> Any:
        """A value as it is used by what is not a scale or a shift: the constant in it is a bias."""
        (constant,) = self.pending.of(value) or (None,)
        if constant is None:
            return value
        found = self.with_zero.of(value)
        if found is None:
            found = self._sum(value, constant)
            self.with_zero.learn(value, found)
        return found

    def _sum(self, found: Array, constant: Any) -> Array:
        found = found + (jnp.zeros_like(found) if self.zeros is None else self.zeros[len(self.biases)])
        self.biases.append(jnp.asarray(constant, found.dtype))
        self.passes.append(self.passing.of(constant) is True)
        self.sums.append(found)
        self.pending.learn(found, (None,))
        return found

    def _learnt(self, found: Sequence, given: Sequence) -> Sequence:
        """The values that are made of the given ones, noted if those depend on the further argument."""
        if any(self.passing.of(value) for value in given):
            for value in found:
                self.passing.learn(value, True)
        return found
