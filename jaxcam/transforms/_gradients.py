"""Sums of gradients over many inputs, and a method that weighs by them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._method import Method
from ..devices._chunks import sum_over_chunks
from ..probes._looked import Looked
from ..probes._probe import Image, Look, Probe
from ..targets._score import Target
from ._transformed import name_of


def weighted_sum(
    function: Callable[[Array], PyTree], inputs: Array, weights: np.ndarray, chunk: int, like: PyTree
) -> PyTree:
    """`Σ_i w_i f(x_i)`, `chunk` at once. The sum is kept, not what is summed: memory does not grow with the inputs.

    Args:
        like: arrays of the shapes and types of the sum.
    """

    def weighted(pair: tuple[Array, Array]) -> PyTree:
        place, share = pair
        return jax.tree.map(lambda each: share.astype(each.dtype) * each, function(place))

    shares = jnp.asarray(weights)
    return sum_over_chunks(weighted, (inputs, shares), chunk, (), jax.tree.map(jnp.zeros_like, like))


def with_look(
    transform: str, method: Method, probe: Probe, image: Image, target: Target, look: Look
) -> Array:
    """The method's map by a given look; ValueError where it does not ask for one."""
    seen = Looked(probe, image, target, look)
    found = method(seen, jnp.asarray(image), target)
    if not seen.asked:
        raise ValueError(
            f"{transform} takes a method of activation and gradient, such as hirescam; {name_of(method)} does not ask "
            "for a gradient"
        )
    return found
