"""Where the attention of each block is in a program: a softmax over keys, and the matrix product with the values."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from jax.extend.core import JaxprEqn, Literal

from ._flat import Atom, Flat, nested
from ._programs import shape_of

# What gives each value of its operand a place, and leaves it as it is or but for rounding.
_SAME = {
    "convert_element_type", "copy", "copy_p", "reduce_precision", "optimization_barrier", "sharding_constraint",
    "pvary", "pcast", "jaxcam_tap", "name", "stop_gradient",
}  # fmt: skip
_MOVED = {"transpose", "reshape", "squeeze", "broadcast_in_dim"}
# What makes scores out of the product of queries and keys: scale, bias, mask, soft cap.
_SCORED = _SAME | _MOVED | {"add", "sub", "mul", "div", "select_n", "tanh", "max", "min", "neg"}
_FUSED = re.compile(r"pallas|mosaic|triton|custom_call|ffi_call|flash|cudnn|dot_product_attention|mha")

Axes = tuple[int, ...]


class Product(NamedTuple):
    """An array in a program, and which of its axes are which; all others are heads.

    Attributes:
        tokens: the axis of the queries, or of the keys.
        others: the axis of the keys of probabilities, or those of a vector's entries.
        shared: of values and keys, the axes that are heads; of probabilities, outputs and queries, those of the heads
            that have values of their own.
    """

    atom: Atom
    tokens: int
    others: Axes
    shared: Axes = ()


class Site(NamedTuple):
    """The attention of one block.

    Attributes:
        probabilities: made by the softmax. `output`: their product with the `values`, whose equation has the number
            `number`. `queries`, `keys`: None where the scores are not made of them.
        windows: in how many parts the positions are, none of which attends to another.
    """

    probabilities: Product
    values: Product
    output: Product
    queries: Product | None
    keys: Product | None
    number: int
    windows: int

    @property
    def atoms(self) -> list[Atom]:
        """The arrays in the program that are the block's attention."""
        parts = (self.probabilities, self.values, self.output, self.queries, self.keys)
        return [each.atom for each in parts if each is not None]

    @property
    def sides(self) -> tuple[int, int]:
        """Number of queries and of keys."""
        seen = self.probabilities
        shape = shape_of(seen.atom)
        return shape[seen.tokens], shape[seen.others[0]]


def sites_of(flat: Flat) -> list[Site]:
    """The attention of every block that depends on the image, in order."""
    found = (_site(flat, number) for number in range(len(flat.program.eqns)))
    return [each for each in found if each is not None]


def fused(flat: Flat, inputs: int) -> str | None:
    """The name of a fused operation on so many arrays, or more, that depend on the image: it may be an attention."""
    for equation in flat.program.eqns:
        if sum(_depends(flat, atom) for atom in equation.invars) >= inputs:
            for each in [equation, *nested(equation)]:
                if _FUSED.search(each.primitive.name):
                    return each.primitive.name
    return None


def _site(flat: Flat, number: int) -> Site | None:
    """The attention whose product with the values is this equation."""
    equation = flat.program.eqns[number]
    if equation.primitive.name != "dot_general" or not all(_depends(flat, each) for each in equation.invars):
        return None
    (contracted, shared), sides = _dimensions(equation), (0, 1)
    for side in sides:
        weights, values = equation.invars[side], equation.invars[1 - side]
        free = _free(equation, side)
        if len(contracted[side]) != 1 or not free:
            continue
        (key,) = contracted[side]
        shape = shape_of(weights)
        # Of grouped queries there are more axes: those of the queries are as long as the keys, in self-attention.
        query = ([axis for axis in free if shape[axis] == shape[key]] or free)[-1]
        made = _softmax(flat, weights, (query, key))
        if made is None:
            continue
        softmax, (before, after), scores = made
        entries = _free(equation, 1 - side)
        output = Product(
            equation.outvars[0],
            _of_output(equation, side, query),
            tuple(_of_output(equation, 1 - side, axis) for axis in entries),
            tuple(range(len(shared[0]))),
        )
        return Site(
            Product(softmax, before, (after,)),
            Product(values, contracted[1 - side][0], entries, shared[1 - side]),
            output,
            *_queries_and_keys(flat, scores, (before, after)),
            number,
            _windows(flat, output, shape[query]),
        )
    return None


def _softmax(flat: Flat, atom: Atom, axes: Axes) -> tuple[Atom, Axes, Atom] | None:
    """The softmax that an array is, moved or not: what it returns, the axes of queries and keys there, and its
    exponent. None where it is not a softmax over the keys."""
    for made, (query, key) in _origins(flat, atom, axes, _SAME | _MOVED | {"select_n"}):
        exponent = _normalised(flat, made, key)
        if exponent is not None:
            return made.outvars[0], (query, key), exponent
    return None


def _normalised(flat: Flat, equation: JaxprEqn, key: int) -> Atom | None:
    """The exponent x of `exp(x) / sum exp(x)`, the sum over an axis; None where an equation makes something else."""
    if equation.primitive.name == "div":
        above = _first(flat, equation.invars[0], _SAME, {"exp", "exp2"})
        below = _first(flat, equation.invars[1], _SAME | _MOVED | {"add", "max"}, {"reduce_sum"})
        if above is None or below is None or tuple(below.params["axes"]) != (key,):
            return None
        summed = _first(flat, below.invars[0], _SAME | {"select_n"}, {"exp", "exp2"})
        return above.invars[0] if summed is above else None
    if equation.primitive.name == "exp":  # of a log-softmax
        made = flat.made_by(equation.invars[0])
        if made is None or made.primitive.name != "sub":
            return None
        log = _first(flat, made.invars[1], _SAME | _MOVED | {"add"}, {"log"})
        below = log and _first(flat, log.invars[0], _SAME | _MOVED, {"reduce_sum"})
        if (
            not below
            or tuple(below.params["axes"]) != (key,)
            or not _first(flat, below.invars[0], _SAME, {"exp"})
        ):
            return None
        return made.invars[0]
    return None


def _queries_and_keys(flat: Flat, exponent: Atom, axes: Axes) -> tuple[Product | None, Product | None]:
    """Queries and keys whose products are the scores."""
    for made, (query, key) in _origins(flat, exponent, axes, _SCORED):
        if made.primitive.name != "dot_general" or not all(_depends(flat, each) for each in made.invars):
            continue
        contracted, shared = _dimensions(made)
        for side in (0, 1):
            asked = [axis for axis in _free(made, side) if _of_output(made, side, axis) == query]
            given = [axis for axis in _free(made, 1 - side) if _of_output(made, 1 - side, axis) == key]
            if asked and given:
                return (
                    Product(made.invars[side], asked[0], contracted[side], shared[side]),
                    Product(made.invars[1 - side], given[0], contracted[1 - side], shared[1 - side]),
                )
    return None, None


def _windows(flat: Flat, output: Product, queries: int) -> int:
    """In how many parts the positions are: the next matrix product takes all heads of a position, so that the number
    of positions is known from it."""
    size, wanted = math.prod(shape_of(output.atom)), {output.atom}
    for equation in flat.program.eqns[flat.maker[output.atom] + 1 :]:
        sides = [number for number, atom in enumerate(equation.invars) if _is_in(atom, wanted)]
        if not sides:
            continue
        if equation.primitive.name == "dot_general":
            (contracted, _), side = _dimensions(equation), sides[0]
            shape = shape_of(equation.invars[side])
            rows = size // math.prod(shape[axis] for axis in contracted[side])
            return max(1, rows // queries)
        if math.prod(shape_of(equation.outvars[0])) == size:
            wanted.update(equation.outvars)
    return 1


def _origins(flat: Flat, atom: Atom, axes: Axes, through: set[str]) -> Iterator[tuple[JaxprEqn, Axes]]:
    """The equations that an array comes from by way of some primitives, nearest first, with its axes there."""
    todo, seen = [(atom, axes)], set()
    while todo:
        atom, axes = todo.pop(0)
        equation = flat.made_by(atom)
        if equation is None or not _depends(flat, atom) or id(equation) in seen:
            continue
        seen.add(id(equation))
        yield equation, axes
        if equation.primitive.name in through:
            for each in equation.invars:
                before = None if isinstance(each, Literal) else _before(equation, each, axes)
                if before is not None:
                    todo.append((each, before))


def _first(flat: Flat, atom: Atom, through: set[str], wanted: set[str]) -> JaxprEqn | None:
    """The nearest equation of a kind that an array comes from by way of some primitives."""
    todo = [atom]
    while todo:
        equation = flat.made_by(todo.pop(0))
        if equation is None:
            continue
        if equation.primitive.name in wanted:
            return equation
        if equation.primitive.name in through:
            todo.extend(equation.invars)
    return None


def _before(equation: JaxprEqn, operand: Atom, axes: Axes) -> Axes | None:
    """The axes of an operand that are these axes of what an equation makes of it; None where one of them is new."""
    old, new = shape_of(operand), shape_of(equation.outvars[0])
    name = equation.primitive.name
    if name == "transpose":
        return tuple(equation.params["permutation"][axis] for axis in axes)
    if name == "broadcast_in_dim":
        kept = {int(axis): number for number, axis in enumerate(equation.params["broadcast_dimensions"])}
        found = [kept.get(axis) for axis in axes]
    elif name in ("reshape", "squeeze"):
        found = [_reshaped(old, new, axis) for axis in axes]
    else:
        found = list(axes) if old == new else [None]
    whole = [
        each for each, axis in zip(found, axes, strict=False) if each is not None and old[each] == new[axis]
    ]
    return tuple(whole) if len(whole) == len(axes) else None


def _reshaped(old: Axes, new: Axes, axis: int) -> int | None:
    before = math.prod(new[:axis])
    fits = (each for each in range(len(old)) if math.prod(old[:each]) == before and old[each] == new[axis])
    return next(fits, None)


def _dimensions(dot: JaxprEqn) -> tuple[tuple[Axes, Axes], tuple[Axes, Axes]]:
    """Contracted and shared axes of each side of a matrix product."""
    (left, right), (first, second) = dot.params["dimension_numbers"]
    whole = lambda axes: tuple(int(axis) for axis in axes)  # noqa: E731
    return (whole(left), whole(right)), (whole(first), whole(second))


def _free(dot: JaxprEqn, side: int) -> Axes:
    """The axes of one side that are neither contracted nor shared."""
    contracted, shared = _dimensions(dot)
    rank = len(shape_of(dot.invars[side]))
    return tuple(axis for axis in range(rank) if axis not in contracted[side] + shared[side])


def _of_output(dot: JaxprEqn, side: int, axis: int) -> int:
    """The axis of the product that is a free axis of one side."""
    _, shared = _dimensions(dot)
    before = len(shared[0]) + (len(_free(dot, 0)) if side else 0)
    return before + _free(dot, side).index(axis)


def _depends(flat: Flat, atom: Atom) -> bool:
    return not isinstance(atom, Literal) and atom in flat.dependent


def _is_in(atom: Atom, chosen: set[Atom]) -> bool:
    return not isinstance(atom, Literal) and atom in chosen
