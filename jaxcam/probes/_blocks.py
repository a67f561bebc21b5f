"""The outputs of a transformer's blocks in its program."""

import math
from collections.abc import Sequence

from jax.extend.core import Var

from ._attention_sites import Site
from ._flat import Flat, cuts, names
from ._programs import shape_of


def block_outputs(flat: Flat, sites: Sequence[Site]) -> list[Var] | None:
    """The output of each block: all that what follows it gets of the image. None where there is no such array.

    It is the last such array before the next block's attention. After the last block comes the head instead: there it
    is the array that as many and the same equations after the attention make.
    """
    equations, whole = flat.program.eqns, cuts(flat)
    ends = [*(flat.maker[site.probabilities.atom] for site in sites[1:]), len(equations)]
    found = []
    for site, end in zip(sites, ends, strict=True):
        atoms = {atom for atom in whole[site.number : end] if atom is not None and atom in flat.maker}
        after = {flat.maker[atom] - site.number: atom for atom in atoms}
        found.append({step: atom for step, atom in after.items() if step > 0 and token_axes(atom, site)})
    for step in sorted(set.intersection(*map(set, found)), reverse=True):
        atoms = [each[step] for each in found]
        made = {names(equations[site.number : site.number + step + 1]) for site in sites}
        if len(made) == 1 and len({(shape_of(atom), atom.aval.dtype) for atom in atoms}) == 1:
            return atoms
    return None


def token_axes(atom: Var, site: Site) -> tuple[int, ...]:
    """The axes of a block's output that are the positions of its attention; empty where there are none."""
    shape, tokens = shape_of(atom), site.sides[1]
    for first in range(len(shape)):
        for end in range(first + 1, len(shape)):
            if math.prod(shape[first:end]) == tokens and shape[first] > 1:
                return tuple(range(first, end))
    return ()
