"""The ReLUs of a program, found while it runs equation by equation, and given another derivative."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jaxtyping import Array

from ._facts import Facts
from ._interpret import as_it_is, body_of, holds, replaced
from ._programs import called, opened, programs

_SAME = ("convert_element_type", "broadcast_in_dim", "reshape", "pvary", "pcast", "copy")  # hand a value on
_SIGNS = {
    "gt": True,
    "ge": True,
    "lt": False,
    "le": False,
}  # whether x is positive where its comparison with 0 holds
_READ = {*_SAME, *_SIGNS, "max", "min", "select_n", "square", "integer_pow", "mul", "div", "add", "sub"}
_READ |= {"reduce_sum", "scan", "custom_jvp_call", "custom_vjp_call"}


@dataclasses.dataclass(frozen=True)
class _Fact:
    """What is known of a value.

    Attributes:
        number: that it is everywhere.
        sign: `(x, True)` if it holds where x is positive, `(x, False)` where x is not.
        bounded: x, of which it is `where(x >= bound, bound, x)`.
        shifted: it is something plus a number, so that relu6 of it makes a hard sigmoid.
        square, variance: it is a sum of squares, or such a sum less a square: `max(variance, 0)` is about rounding.
        plain: the value with its own derivative, where it is a ReLU of what is shifted.
    """

    number: float | None = None
    sign: tuple[Any, bool] | None = None
    bounded: Any = None
    shifted: bool = False
    square: bool = False
    variance: bool = False
    plain: Any = None


class Relus:
    """Finds the ReLUs of functions, and passes what they return through `rewrite`.

    Attributes:
        count: number of ReLUs that were found.
    """

    def __init__(self, rewrite: Callable[[Array], Array]):
        self.rewrite = rewrite
        self.count = 0
        self.facts: Facts[_Fact] = Facts()

    def of(self, function: Callable) -> Callable:
        """The function with its ReLUs rewritten."""
        return replaced(function, self._rule, lambda each: each.primitive.name in _READ or _closed(each))

    def check(self) -> None:
        """Raises ValueError if there was no ReLU."""
        if not self.count:
            raise ValueError(
                "guided backpropagation rewrites the derivative of ReLU, and this model's program has no ReLU: other "
                "activation functions, such as GELU, keep their derivative. jaxcam.saliency is the plain gradient"
            )

    def _rule(self, equation: JaxprEqn, given: list) -> Sequence | None:
        name = equation.primitive.name
        if name == "scan" and holds(equation, _may_be_relu):
            return None  # its rounds are opened
        if _closed(equation) and holds(equation, _is_relu):
            raise ValueError(
                f"a ReLU lies inside a {name}, where guided backpropagation cannot rewrite its derivative"
            )
        found = as_it_is(equation, given)
        if name == "custom_jvp_call" and _is_relu(equation):
            return [self._relu(found[0], given[0], bounded=_is_bounded(equation))]
        if len(found) == 1 and name in _READ:
            return [self._read(equation, name, given, found[0])]
        return found

    def _known(self, value: Any) -> _Fact:
        if isinstance(value, int | float | np.number | np.ndarray) and np.ndim(value) == 0:
            return _Fact(number=float(value))
        return self.facts.of(value) or _Fact()

    def _read(self, equation: JaxprEqn, name: str, given: list, found: Any) -> Any:
        """What an equation returns, with its derivative rewritten if it is a ReLU; learns what is known of it."""
        facts = list(map(self._known, given))
        floating = jnp.issubdtype(found.dtype, jnp.floating)
        if name == "max" and floating and (number := _zero(facts)) is not None:
            x, known = given[1 - number], facts[1 - number]
            if known.variance or x.shape != found.shape:
                return found
            return self._relu(jax.nn.relu(x), x)  # `max` has half a derivative at 0
        if name == "min" and any(each.plain is not None for each in facts):  # a hard sigmoid after all
            self.count -= 1
            plain = [
                value if each.plain is None else each.plain for value, each in zip(given, facts, strict=True)
            ]
            return as_it_is(equation, plain)[0]
        if name == "select_n" and len(given) == 3 and floating:
            sign, parts, of_parts = facts[0].sign, given[1:], facts[1:]
            if sign is not None:
                x, positive = sign
                inside, outside = of_parts[:: 1 if not positive else -1]
                part = parts[1 if positive else 0]
                if outside.number == 0 and (part is x or inside.bounded is x):
                    return self._relu(found, x, bounded=part is not x)
            elif [each.number is None for each in of_parts].count(True) == 1:
                part = parts[0] if of_parts[1].number is not None else parts[1]
                self.facts.learn(found, _Fact(bounded=part))
            return found
        self.facts.learn(found, _handed_on(equation, name, given, facts))
        return found

    def _relu(self, found: Any, x: Any, *, bounded: bool = False) -> Any:
        """What a ReLU of x returns, with its derivative rewritten."""
        shifted = self._known(x).shifted
        if shifted and bounded:
            return found
        self.count += 1
        rewritten = self.rewrite(found)
        if shifted:
            self.facts.learn(rewritten, _Fact(plain=found))
        return rewritten


def _handed_on(equation: JaxprEqn, name: str, given: list, facts: list[_Fact]) -> _Fact:
    """What is known of an equation's value from what is known of its inputs."""
    first, *others = facts
    second = others[0] if others else _Fact()
    if name in _SAME:
        return dataclasses.replace(first, sign=None, bounded=None, plain=None)
    if name in _SIGNS:
        if second.number == 0:
            return _Fact(sign=(given[0], _SIGNS[name]))
        return _Fact(sign=(given[1], not _SIGNS[name])) if first.number == 0 else _Fact()
    if name in ("add", "sub"):
        shift = first.number or second.number
        return _Fact(shifted=bool(shift), variance=name == "sub" and second.square)
    if name in ("mul", "div"):
        scaled = (first.square and second.number is not None) or (second.square and first.number is not None)
        return _Fact(square=scaled or (name == "mul" and given[0] is given[1]))
    if name == "reduce_sum":
        return _Fact(square=first.square)
    return _Fact(square=name == "square" or (name == "integer_pow" and equation.params["y"] == 2))


def _zero(facts: list[_Fact]) -> int | None:
    """The first of the values that is 0 everywhere."""
    return next((number for number, each in enumerate(facts) if each.number == 0), None)


def _closed(equation: JaxprEqn) -> bool:
    """Whether an equation holds a program that is not opened, such as a branch."""
    opens = body_of(equation) is not None or equation.primitive.name in ("scan", "while")
    return not opens and any(True for _ in programs(equation))


def _may_be_relu(equation: JaxprEqn) -> bool:
    return equation.primitive.name in ("max", "select_n") or _is_relu(equation)


def _is_relu(equation: JaxprEqn) -> bool:
    """Whether an equation by itself is a ReLU, or ReLU6."""
    if equation.primitive.name == "max":
        return 0 in _numbers(equation)
    if equation.primitive.name != "custom_jvp_call" or len(equation.invars) != 1:
        return False
    steps = list(_steps(opened(equation.params["call_jaxpr"])))
    names = [each.primitive.name for each in steps if each.primitive.name not in _SAME]
    numbers = [number for each in steps for number in _numbers(each)]
    return names in (["max"], ["max", "min"]) and min(numbers, default=1) == 0


def _is_bounded(relu: JaxprEqn) -> bool:
    return any(each.primitive.name == "min" for each in _steps(opened(relu.params["call_jaxpr"])))


def _numbers(equation: JaxprEqn) -> list[float]:
    """The numbers among an equation's inputs."""
    return [
        float(atom.val) for atom in equation.invars if isinstance(atom, Literal) and np.ndim(atom.val) == 0
    ]


def _steps(program: Jaxpr) -> Iterator[JaxprEqn]:
    """The equations of a program and of those that it calls."""
    for each in program.eqns:
        inner = called(each)
        if inner is None:
            yield each
        else:
            yield from _steps(opened(inner))
