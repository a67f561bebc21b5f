"""Floating point operations of a JAX function, counted before it is compiled."""

import math
from collections.abc import Callable, Iterable, Iterator

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import PyTree

from ._programs import shape_of


def flops(function: Callable, *arguments: PyTree) -> int:
    """Operations of the convolutions and matrix products of one call: of a network, nearly all there are.

    Unlike the compiler's own count, the body of a loop counts as often as it runs, where the trace knows how often:
    always but for `while`, which counts once.

    Args:
        arguments: arrays, or their shapes: nothing is computed.
    """
    traced = jax.make_jaxpr(function)(*arguments).jaxpr
    # what nothing depends on is never run: in Ablation-CAM's loop, all that comes before the layer
    needed, _ = dce_jaxpr(traced, [True] * len(traced.outvars))
    return _count(needed)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_operations(each) for each in jaxpr.eqns)


def _operations(equation: JaxprEqn) -> int:
    name = equation.primitive.name
    out = math.prod(shape_of(equation.outvars[0])) if equation.outvars else 0
    if name == "conv_general_dilated":
        kernel = shape_of(equation.invars[1])
        return 2 * out * math.prod(kernel) // kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * out * math.prod(shape_of(equation.invars[0])[axis] for axis in contracted)
    inside = [_count(each) for each in _inner(equation.params.values())]
    if name == "cond":
        return max(inside)
    return sum(inside) * (equation.params["length"] if name == "scan" else 1)


def _inner(values: Iterable[object]) -> Iterator[Jaxpr]:
    for each in values:
        if isinstance(each, ClosedJaxpr):
            yield each.jaxpr
        elif isinstance(each, Jaxpr):
            yield each
        elif isinstance(each, tuple | list):
            yield from _inner(each)
