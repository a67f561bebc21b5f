"""A probe of one layer whose look at one image is known already."""

from collections.abc import Mapping
from typing import Any

import jax

from ..targets._score import Target
from ._probe import Image, Look, Probe


@jax.tree_util.register_pytree_node_class
class Looked(Probe):
    """A probe that returns a given look for one image and one target, and looks anew for others.

    Transforms pass it to methods, so that several methods share one backward pass, or weigh by another gradient.

    Attributes:
        image, target: those of the look, compared by identity.
        given: the look.
        asked: whether a method has asked for it.
    """

    def __init__(self, probe: Probe, image: Image, target: Target, look: Look):
        super().__init__(probe.parameters, probe.anatomy, probe.inputs, probe.read)
        self.image, self.target, self.given = image, target, look
        self.asked = False

    def look(self, image: Image, target: Target = None) -> Look:
        if image is self.image and target is self.target:
            self.asked = True
            return self.given
        return super().look(image, target)

    def tree_flatten(self) -> tuple[tuple, Any]:
        probe = Probe(self.parameters, self.anatomy, self.inputs, self.read)
        return (probe, self.image, self.target, self.given), None

    @classmethod
    def tree_unflatten(cls, anatomy, children):
        return cls(*children)


class MeanLook(Look):
    """A look whose gradient is a mean over several inputs.

    Attributes:
        powers: means of the gradient's powers, by their exponent; the first is the gradient.
    """

    powers: Mapping[int, Any]

    @classmethod
    def of(cls, look: Look, powers: Mapping[int, Any]) -> "MeanLook":
        found = cls(look.output, look.score, look.activation, powers[1])
        found.powers = powers
        return found

    def power(self, exponent: int) -> Any:
        return self.powers[exponent]


def of_layer(look: Look, layer: str) -> Look:
    """The look at one of several layers."""
    alone = look._replace(activation=look.activation[layer], gradient=look.gradient[layer])
    if isinstance(look, MeanLook):
        return MeanLook.of(alone, {exponent: each[layer] for exponent, each in look.powers.items()})
    return alone
