"""Whether a JAX program is linear in its inputs, but for a constant: found in its equations, before it runs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from ._marks import MARK
from ._programs import called, opened

# How a value depends on the inputs.
CONSTANT, AFFINE, OTHERWISE = 0, 1, 2

# Linear in all their operands together.
_LINEAR = {
    *("add", "add_any", "sub", "neg", "reduce_sum", "cumsum", "reduce_window_sum", "convert_element_type"),
    *("reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice", "rev", "concatenate"),
    *("pad", "split", "tile", "copy", "copy_p", "name", "optimization_barrier", "sharding_constraint"),
    *("pvary", "pcast", MARK.name),
}
# Linear in each of two operands, where the other is constant.
_BILINEAR = {"mul", "dot_general", "conv_general_dilated"}
# Linear in these operands together, where the others are constant.
_LINEAR_IN = {
    "div": (0,),
    "gather": (0,),
    "dynamic_slice": (0,),
    "dynamic_update_slice": (0, 1),
    "scatter": (0, 2),
    "scatter_add": (0, 2),
    "scatter-add": (0, 2),
}


def affine(program: ClosedJaxpr) -> bool:
    """Whether all outputs of a program are linear in its inputs, but for a constant.

    It goes into compiled and rematerialised functions. Loops, branches and functions with a derivative of their own
    count as not linear, and so does whatever is not known here: a derivative then need not tell the whole of them.
    """
    found = _outputs(program.jaxpr, [AFFINE] * len(program.jaxpr.invars))
    return all(each != OTHERWISE for each in found)


def _outputs(program: Jaxpr, inputs: Sequence[int]) -> list[int]:
    """How the outputs of a program depend on what its inputs depend on."""
    kinds = dict(zip(program.invars, inputs, strict=True))

    def kind(atom) -> int:
        return CONSTANT if isinstance(atom, Literal) else kinds.get(atom, CONSTANT)

    for equation in program.eqns:
        kinds.update(
            zip(equation.outvars, _of_equation(equation, list(map(kind, equation.invars))), strict=True)
        )
    return list(map(kind, program.outvars))


def _of_equation(equation: JaxprEqn, inputs: list[int]) -> list[int]:
    inner = called(equation)
    if inner is not None:
        return _outputs(opened(inner), inputs)
    most = max(inputs, default=CONSTANT)
    if most == AFFINE and not (_linear(equation, inputs) and all(map(_floating, equation.outvars))):
        most = OTHERWISE
    return [most] * len(equation.outvars)


def _linear(equation: JaxprEqn, inputs: list[int]) -> bool:
    name = equation.primitive.name
    places = [place for place, each in enumerate(inputs) if each]
    if name in _BILINEAR:
        return len(places) == 1
    if name == "select_n":
        return 0 not in places
    return name in _LINEAR or set(places) <= set(_LINEAR_IN.get(name, ()))


def _floating(atom) -> bool:
    return jnp.issubdtype(getattr(atom.aval, "dtype", jax.dtypes.float0), jnp.floating)
