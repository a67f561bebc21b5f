"""Sums of gradients over many inputs, and a method that weighs by them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._method import Method
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
    rows = np.arange(len(weights) + -len(weights) % chunk)  # filled up with weight 0
    places = (rows % len(weights)).reshape(-1, chunk)
    shares = jnp.asarray(np.where(rows < len(weights), weights[rows % len(weights)], 0).reshape(-1, chunk))

    def add(total: PyTree, group: tuple[Array, Array]) -> tuple[PyTree, None]:
        found = jax.vmap(function)(group[0])
        more = jax.tree.map(lambda each: _weighted(group[1], each), found)
        return jax.tree.map(jnp.add, total, more), None

    total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, like), (inputs[places], shares))
    return total


def _weighted(weights: Array, each: Array) -> Array:
    return jnp.tensordot(weights.astype(each.dtype), each, 1, precision=jax.lax.Precision.HIGHEST)


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
