"""Maps of equal brightness, so that a drop does not depend on how bright a method's maps are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike, widen
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import measure
from ._drop import drops
from ._inputs import check_maps

MEAN = 0.5
REACH = 20  # powers from 2⁻²⁰ to 2²⁰
HALVINGS = 50  # of that range: to the last bit of float64


def at_equal_brightness(maps: ArrayLike, *, rank: int = 2) -> Float[Array, "B *space"]:
    """Maps of one mean: `L^γ`, with the γ at which its mean is 1/2, found by bisection.

    Args:
        maps: `(B, *space)` in [0, 1].
        rank: the number of their spatial axes: 1 for signals, 2 for pictures, 3 for volumes.

    Returns:
        `(B, *space)` in [0, 1], in the same order of brightness. γ is between 2⁻²⁰ and 2²⁰: a map that is above 0 in
        fewer than half of its positions, or 1 in more, comes as near to 1/2 as that allows, which is 1 where it is
        above 0, or where it is 1.

    Raises:
        ValueError: maps of another shape, not finite, or outside [0, 1].

    Source: [ours].
    """
    return evened(check_maps(maps, unit=True, rank=rank))


def drop_at_equal_brightness(
    probe: Probe, images: ArrayLike, targets: Targets, maps: ArrayLike, *, chunk: int | None = None
) -> Float[Array, "B"]:
    """Average Drop of maps of equal brightness: `100 max(0, Y - O) / Y`, `O = p_c(x ⊙ L^γ)`, `mean L^γ = 1/2`.

    Lower is better. A brighter map hides less and has a lower Average Drop for it; here that advantage is gone.

    Args:
        probe, images, targets, maps, chunk: as in `average_drop`: `(B, *space, C)` and `(B, *space)`.

    Returns:
        `(B,)` in percent, 0 to 100; 0 where Y is 0. For γ see `at_equal_brightness`.

    Source: [ours].
    """
    return measure(probe, images, targets, maps, (even_drops, ()), chunk=chunk)["drop_at_equal_brightness"]


def even_drops(probe, images, targets, clean, maps, key, *, chunk) -> dict[str, Array]:
    """The family, for `run`."""
    found = drops(probe, images, targets, clean, evened(maps), key, chunk=chunk)
    return {"drop_at_equal_brightness": found["average_drop"]}


@jax.jit
def evened(maps: Float[Array, "B *space"]) -> Float[Array, "B *space"]:
    return jax.vmap(_even)(widen(maps))


def _even(shown: Float[Array, "*space"]) -> Float[Array, "*space"]:
    light = shown > 0
    logarithm = jnp.log(jnp.where(light, shown, 1))

    def raised(exponent):
        return jnp.where(light, jnp.exp(jnp.exp2(exponent) * logarithm), 0)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        bright = jnp.mean(raised(middle)) > MEAN
        return jnp.where(bright, middle, low), jnp.where(bright, high, middle)

    zero = 0 * jnp.sum(logarithm)  # which varies over the devices of a mesh as the map does
    low, high = jax.lax.fori_loop(0, HALVINGS, halve, (zero - REACH, zero + REACH))
    return raised((low + high) / 2)
