"""DeepLIFT's rescale rule: the multipliers of a JAX program, found equation by equation."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array

from ._interpret import as_it_is, body_of
from ._programs import opened, shape_of

NEAR = 1e-10  # inputs nearer to each other than this get the derivative, as in captum

_ELEMENTWISE = {
    "abs", "max", "min", "clamp", "sign", "floor", "ceil", "round", "integer_pow", "pow", "square", "sqrt", "rsqrt",
    "cbrt", "exp", "exp2", "expm1", "log", "log1p", "logistic", "erf", "erfc", "erf_inv", "lgamma", "digamma",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "atan2", "add",
    "add_any", "sub", "mul", "div", "rem", "neg", "select_n", "convert_element_type", "copy", "nextafter", "eq",
    "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "is_finite", "stop_gradient",
}  # fmt: skip
_POOLING = {"reduce_window_max", "reduce_max"}


class Lane(NamedTuple):
    """A value, what it is for the reference, and its change; the same value twice where it depends on neither.

    Attributes:
        origin: the array that it is an elementwise function of, where that is another one.
    """

    value: Array
    reference: Array
    change: Array | None = None
    origin: "Lane | None" = None

    @property
    def constant(self) -> bool:
        return self.value is self.reference


def multipliers(program: ClosedJaxpr, at: Array, reference: Array) -> Array:
    """What a change of each input, from the reference's to its own, counts for the program's one output.

    For an elementwise function of one array, however it is written, the ratio of the change of the output to that of
    the input, `Δout / Δin`; for a maximum, captum's rule; otherwise the derivative, which for whatever is linear is the
    same. So `Σ m ⊙ (at - reference)` is the output's change, unless different arrays that both depend on the input
    are multiplied, divided or compared, or a loop or a branch is run.
    """

    def change(change: Array) -> Array:
        (output,) = _run(program.jaxpr, program.consts, [Lane(at, reference, change)])
        return jnp.zeros_like(output.value) if output.change is None else output.change

    output, pull = jax.vjp(change, at)
    return pull(jnp.ones_like(output))[0]


def _run(program: Jaxpr, consts: Sequence, inputs: Sequence[Lane]) -> list[Lane]:
    lanes: dict[Var, Lane] = dict(zip(program.invars, inputs, strict=True))
    lanes.update({name: Lane(value, value) for name, value in zip(program.constvars, consts, strict=True)})

    def lane(atom: Var | Literal) -> Lane:
        return Lane(atom.val, atom.val) if isinstance(atom, Literal) else lanes[atom]

    for equation in program.eqns:
        outputs = _of_equation(equation, [lane(atom) for atom in equation.invars])
        lanes.update(zip(equation.outvars, outputs, strict=True))
    return [lane(atom) for atom in program.outvars]


def _of_equation(equation: JaxprEqn, given: list[Lane]) -> list[Lane]:
    changing = [each for each in given if not each.constant]
    if not changing:
        return [Lane(value, value) for value in as_it_is(equation, [each.value for each in given])]
    inner = body_of(equation)
    if inner is not None:
        return _run(opened(inner), getattr(inner, "consts", ()), given)
    if equation.primitive.name in _POOLING:
        return [_pooled(equation, given[0])]
    outputs = _differentiated(equation, given)
    origin = changing[0].origin or changing[0]
    if not _of_one(equation, changing, origin):
        return outputs
    return [_rescaled(each, origin, _linear(equation, given)) for each in outputs]


def _of_one(equation: JaxprEqn, changing: list[Lane], origin: Lane) -> bool:
    """Whether an equation makes another elementwise function of the same one array."""
    shape = shape_of(equation.outvars[0])
    return equation.primitive.name in _ELEMENTWISE and all(
        (each.origin or each) is origin and each.value.shape == shape == origin.value.shape
        for each in changing
    )


def _linear(equation: JaxprEqn, given: list[Lane]) -> bool:
    name = equation.primitive.name
    changing = [each for each in given if not each.constant]
    return all(each.change is not None for each in changing) and (
        name in {"add", "add_any", "sub", "neg", "copy", "convert_element_type"}
        or (name == "mul" and len(changing) == 1)
        or (name == "div" and given[1].constant)
        or (name == "select_n" and given[0].constant)
    )


def _rescaled(lane: Lane, origin: Lane, linear: bool) -> Lane:
    if linear or origin.change is None or not jnp.issubdtype(lane.value.dtype, jnp.floating):
        return lane._replace(origin=origin)
    apart, near = _apart(origin)
    slope = jnp.zeros_like(lane.value) if lane.change is None else lane.change
    ratio = (lane.value - lane.reference) / apart.astype(lane.value.dtype)
    return Lane(
        lane.value, lane.reference, jnp.where(near, slope, ratio * origin.change.astype(slope.dtype)), origin
    )


def _pooled(equation: JaxprEqn, lane: Lane) -> Lane:
    """The largest: as captum, what it gains over the reference's counts for its place, and the rest for the place of
    the reference's."""

    def run(value: Array) -> Array:
        return as_it_is(equation, [value])[0]

    change = jnp.zeros_like(lane.value) if lane.change is None else lane.change
    apart, near = _apart(lane)
    nothing = jnp.zeros_like(change)
    share = jnp.where(near, nothing, change / apart)
    value, slope = jax.jvp(run, (lane.value,), (jnp.where(near, change, nothing),))
    _, of_value = jax.jvp(run, (lane.value,), (share,))
    reference, of_reference = jax.jvp(run, (lane.reference,), (share,))
    largest = jnp.maximum(value, reference)
    gained = (largest - reference) * of_value + (value - largest) * of_reference
    return Lane(value, reference, slope + gained)


def _differentiated(equation: JaxprEqn, given: list[Lane]) -> list[Lane]:
    values, references = [each.value for each in given], [each.reference for each in given]
    changing = [number for number, each in enumerate(given) if each.change is not None]

    def run(*changed: Array) -> Sequence:
        new = dict(zip(changing, changed, strict=True))
        return as_it_is(equation, [new.get(number, value) for number, value in enumerate(values)])

    found, changes = jax.jvp(
        run, tuple(values[each] for each in changing), tuple(given[each].change for each in changing)
    )
    return [
        Lane(value, reference, None if change.dtype == jax.dtypes.float0 or not changing else change)
        for value, reference, change in zip(found, as_it_is(equation, references), changes, strict=True)
    ]


def _apart(lane: Lane) -> tuple[Array, Array]:
    """How far a value is from its reference, 1 where that is next to nothing, and where it is."""
    apart = lane.value - lane.reference
    near = jnp.abs(apart) < NEAR
    return jnp.where(near, jnp.ones_like(apart), apart), near
