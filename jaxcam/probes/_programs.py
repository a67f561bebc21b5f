"""What a JAX program (a jaxpr) holds: the programs inside it, and which inputs reach which outputs."""

from collections.abc import Iterator, Sequence

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

# What runs a program once, as it is, and where it has the program.
_CALLS = {"jit": "jaxpr", "remat2": "jaxpr", "closed_call": "call_jaxpr"}


def called(equation: JaxprEqn) -> Jaxpr | ClosedJaxpr | None:
    """The program that an equation runs once, as it is; None for loops, branches and the like."""
    if type(equation.params.get("_prim")).__name__ == "RematTraced":  # with jax_remat3
        return equation.params["_prim"].params["jaxpr"]
    return equation.params.get(_CALLS.get(equation.primitive.name, ""))


def programs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The programs that an equation runs: the body of a jit or a loop, the branches of a condition."""
    held = equation.params.get("_prim")
    for value in (equation.params if held is None else held.params).values():
        for each in value if isinstance(value, tuple | list) else [value]:
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                yield inner


def source(program: Jaxpr, output: Var | Literal) -> int | None:
    """The number of the input that an output is, unchanged; None where it is not an input."""
    while not isinstance(output, Literal):
        if output in program.invars:
            return program.invars.index(output)
        made = next((each for each in program.eqns if output in each.outvars), None)
        inner = _body(made) if made else None
        if made is None or inner is None:
            return None
        number = source(inner, inner.outvars[made.outvars.index(output)])
        if number is None:
            return None
        output = made.invars[number]
    return None


def needed(program: Jaxpr, outputs: Sequence[bool]) -> list[bool]:
    """Which inputs the chosen outputs depend on."""
    atoms = {id(atom) for atom, chosen in zip(program.outvars, outputs, strict=True) if chosen}
    for equation in reversed(program.eqns):
        chosen = [id(each) in atoms for each in equation.outvars]
        if any(chosen):
            used = _needed_by(equation, chosen)
            atoms.update(id(atom) for atom, each in zip(equation.invars, used, strict=True) if each)
    return [id(each) in atoms for each in program.invars]


def _needed_by(equation: JaxprEqn, outputs: list[bool]) -> list[bool]:
    inner = _body(equation)
    if inner is None:
        return [True] * len(equation.invars)
    if equation.primitive.name != "scan":
        return needed(inner, outputs)
    first, count = carried(equation, inner)
    while True:  # what a round needs of the carry, the round before must give
        used = needed(inner, outputs)
        more = [a or b for a, b in zip(outputs, used[first : first + count], strict=False)]
        if more + outputs[count:] == outputs:
            return used
        outputs = more + outputs[count:]


def carried(scan: JaxprEqn, body: Jaxpr) -> tuple[int, int]:
    """How many inputs of a scan are the same in all rounds, and how many values it carries from round to round.

    Counted by the ranks, because each version of JAX keeps these numbers in another form.
    """
    count = sum(map(_same_rank, scan.outvars, body.outvars))
    return sum(map(_same_rank, scan.invars, body.invars)) - count, count


def _same_rank(outside: Var | Literal, inside: Var | Literal) -> bool:
    """Whether a scan hands it on whole: a constant or the carry, not a slice for each round."""
    return len(shape_of(outside)) == len(shape_of(inside))


def shape_of(atom: Var | Literal) -> tuple[int, ...]:
    return getattr(atom.aval, "shape", ())


def _body(equation: JaxprEqn) -> Jaxpr | None:
    """The program inside a call or a scan, whose inputs and outputs are the equation's, one by one."""
    inner = equation.params["jaxpr"] if equation.primitive.name == "scan" else called(equation)
    return None if inner is None else opened(inner)


def opened(program: Jaxpr | ClosedJaxpr) -> Jaxpr:
    """A program without the values of its constants."""
    return program.jaxpr if isinstance(program, ClosedJaxpr) else program
