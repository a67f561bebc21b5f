"""A probe's parameters in layers: those of one module, in the order in which the program uses them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array

from ..probes._anatomy import Split
from ..probes._equinox import Equinox
from ..probes._interpret import body_of
from ..probes._keras import Keras
from ..probes._probe import Probe
from ..probes._programs import opened
from ..probes._tap import Tapped

_PICTURE = frozenset([-1])  # in place of parameters: what depends on the picture
Origin = frozenset[int]  # the numbers of the parameters that a value is made of


def layers_of(probe: Probe, image: Array | jax.ShapeDtypeStruct) -> dict[str, list[int]]:
    """The numbers of the leaves of the probe's parameters by the layer that they belong to, first layer first.

    A layer is a module that has parameters of its own. It stands where the first of them meets the picture, or what
    was computed of it. Parameters that never do, of a part that this output does not need, are in no layer; neither
    are whole numbers.
    """
    leaves, structure = jax.tree.flatten(probe.parameters)
    names = _names(probe)

    def forward(leaves, image):
        return Probe(jax.tree.unflatten(structure, leaves), probe.anatomy, probe.inputs, probe.read)(image)[0]

    program = jax.make_jaxpr(forward)(leaves, image).jaxpr
    kinds = [jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves]
    origins = [frozenset([number]) if kind else frozenset() for number, kind in enumerate(kinds)]
    used: list[int] = []
    _follow(program, [*origins, _PICTURE], used)
    layers: dict[str, list[int]] = {}
    for number in dict.fromkeys(used):
        layers.setdefault(names[number], []).append(number)
    return layers


def _follow(program: Jaxpr, origins: Sequence[Origin], used: list[int]) -> list[Origin]:
    """Where the outputs of a program come from; adds to `used` each parameter when it meets the picture."""
    known: dict[Var, Origin] = dict(zip(program.invars, origins, strict=True))

    def of(atom: Var | Literal) -> Origin:
        return frozenset() if isinstance(atom, Literal) else known.get(atom, frozenset())

    for equation in program.eqns:
        given = [of(atom) for atom in equation.invars]
        known.update(zip(equation.outvars, _through(equation, given, used), strict=True))
    return [of(atom) for atom in program.outvars]


def _through(equation: JaxprEqn, given: Sequence[Origin], used: list[int]) -> Sequence[Origin]:
    inner = equation.params["jaxpr"] if equation.primitive.name == "scan" else body_of(equation)
    if inner is not None and len(opened(inner).invars) == len(given):
        return _follow(opened(inner), given, used)
    if _PICTURE not in given:
        return [frozenset().union(*given)] * len(equation.outvars)
    used.extend(sorted(frozenset().union(*given) - _PICTURE))
    return [_PICTURE] * len(equation.outvars)


def _names(probe: Probe) -> list[str]:
    """The path of the module that each leaf of the parameters belongs to."""
    anatomy = probe.anatomy
    paths = [_steps(path) for path, _ in jax.tree_util.tree_flatten_with_path(probe.parameters)[0]]
    if isinstance(anatomy, Keras):
        return _of_keras(anatomy.model)
    if isinstance(anatomy, Equinox):
        paths = _of_equinox(anatomy, paths)
    elif isinstance(anatomy, Split):
        paths = [(("features", "head")[int(path[0])], *path[1:]) for path in paths]
    elif isinstance(anatomy, Tapped):
        paths = [path[1:] for path in paths]
    # A Linen module has its statistics apart from its weights.
    paths = [path[1:] if path[0] in ("params", "batch_stats") else path for path in paths]
    return [".".join(path[:-1]) or ".".join(path) for path in paths]


def _steps(path: Sequence[Any]) -> tuple[str, ...]:
    """A path as names; the parts of a flat name, such as `blocks/0/conv/kernel`, are names of their own."""
    found = []
    for number, step in enumerate(path):
        if isinstance(step, jax.tree_util.FlattenedIndexKey) and number < len(path) - 1:
            continue  # a part that has no name
        name = next(getattr(step, each) for each in ("key", "name", "idx") if hasattr(step, each))
        found += str(name).split("/")
    return tuple(found)


def _of_keras(model: Any) -> list[str]:
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return [each.path.rpartition("/")[0].replace("/", ".") or each.path for each in variables]


def _of_equinox(anatomy: Equinox, paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The places of the arrays in the module, for their numbers in the list of its leaves."""
    whole = jax.tree.unflatten(anatomy.structure, range(len(anatomy.fixed)))
    places = [_steps(path) for path, _ in jax.tree_util.tree_flatten_with_path(whole)[0]]
    return [places[int(path[1])] if path[0] == "model" else path for path in paths]
