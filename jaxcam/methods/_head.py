"""The score as a function of a layer's activation, for methods that differentiate or run the head by themselves."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Float

from .._masks import reader
from ..probes._marks import vary, varying
from ..probes._probe import Image, Probe
from ..targets._score import Target


class Head(NamedTuple):
    """What follows a layer, for one image and one target.

    Attributes:
        score: activation -> score, at least float32. Nothing before the layer runs again.
        activation: `(*space, K)`, as the model has it. Inside `jax.shard_map` it varies as its score does, so that
            derivatives are each device's own.
        whole: the score of the activation.
        program: of `score`.
    """

    score: Callable[[Array], Array]
    activation: Float[Array, "*space K"]
    whole: Float[Array, ""]
    program: ClosedJaxpr


def head_of(probe: Probe, image: Image, target: Target) -> Head:
    """The head of a probe for one image; a target of None is settled once, on the whole image."""
    output, activation = probe(image)
    read = reader(output, target, "logit")

    def score(activation: Array) -> Array:
        # the activation found on the way is not used, so what comes before the layer is never run
        return read(probe(image, lambda _: activation)[0])

    program = jax.make_jaxpr(score)(activation)
    whole = read(output)
    if varying(whole) - varying(activation):
        activation = vary(activation, varying(whole))
        program = jax.make_jaxpr(score)(activation)
    return Head(score, activation, whole, program)
