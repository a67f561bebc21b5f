"""Opti-CAM: channel weights that gradient ascent finds, so that the masked image scores as the whole one does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._dtypes import widen
from .._errors import check_count, choose
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._masks import cover, reader
from .._method import of_probe
from ..devices._mesh import vary_as
from ..probes._probe import Image, Probe
from ..targets._score import Target

LOSSES = {"plain": lambda lost: lost, "absolute": jnp.abs}
START, FIRST, SECOND, EPSILON = 0.5, 0.9, 0.999, 1e-8  # of v, and Adam's constants


@of_probe
def opticam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    steps: int = 50,
    rate: float | int = 0.1,
    loss: str = "plain",
    stop: bool = False,
    baseline: str | Float[Array | np.ndarray, "..."] = "zero",
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Opti-CAM: `w = softmax(v)` with the v that minimises `s_c(x) - s_c(x ⊙ N(up(M)))`, `M = Σ_k w_k relu(A_k)`.

    Adam starts from `v = 0.5` for every channel. Where M is flat the mask is 0, and its slope. Each step costs a
    forward and a backward pass of the whole model; memory does not grow with the steps.

    When: the map is to be the mask that keeps the score: fifty forward and backward passes.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        steps: number of Adam's steps. The authors' class has 100 by default, their script 50.
        rate: Adam's learning rate, above 0. The authors' class has 0.01 by default, their script 0.1.
        loss: "plain", as above, which also rewards a mask that scores more than the image; or "absolute",
            `|s_c(x) - s_c(x ⊙ N(up(M)))|`, the default of the authors' class.
        stop: whether to stop where the loss is larger than a tenth of the steps before, as the authors' code does.
        baseline: what stands where the mask is 0: "zero", the mean colour of a normalised image; "blur" (Gaussian,
            11 x 11, deviation 5); or an array that broadcasts to the image. The authors mask the picture before it is
            normalised, which is the array `-mean / deviation` of the normalisation: black.
        fuse: evidence `(*space, K)` -> map `(*space)`; the weights are found with the sum over channels.

    Returns:
        Raw map `(*space)`, in units of the activation, at least 0 but for `fuse`.

    Raises:
        ValueError: steps below 1, a rate that is not above 0, an unknown loss or baseline.

    Source: Zhang et al. 2023, "Opti-CAM", arXiv 2301.07002 [paper]; defaults as the authors' script, but for `stop`
    and the mean colour instead of black, which no preprocessed image tells [ours].
    """
    check_count("steps", steps)
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be a number above 0; got {rate!r}")
    lost = choose("loss", loss, LOSSES)
    behind = cover(image, baseline=baseline)
    output, activation = probe(image)
    A = jax.nn.relu(widen(activation))
    read = reader(output, target, "logit")
    whole = read(output)

    def objective(v: Array) -> Array:
        mask = channel_sum(weigh(jax.nn.softmax(v), A))
        return lost(whole - read(probe(behind(mask))[0]))

    def step(state, number):
        v, first, second, before, done = state
        value, slope = jax.value_and_grad(objective)(v)
        if stop:
            looks = number % max(1, steps // 10) == 0
            done, before = done | (looks & (value > before)), jnp.where(looks, value, before)
        first, second = FIRST * first + (1 - FIRST) * slope, SECOND * second + (1 - SECOND) * slope**2
        at = (number + 1).astype(v.dtype)
        size = _root(second / (1 - SECOND**at))
        moved = v - rate * first / (1 - FIRST**at) / (size + EPSILON)
        return (jnp.where(done, v, moved), first, second, before, done), None

    # v is each device's own where the score is: the gradients of several are not summed
    zeros = vary_as(jnp.zeros_like(A, shape=A.shape[-1:]), whole)
    start = (zeros + START, zeros, zeros, jnp.full_like(whole, jnp.inf), jnp.zeros_like(whole, bool))
    (v, *_), _ = jax.lax.scan(step, start, jnp.arange(steps))
    return finite_only(fuse(weigh(jax.nn.softmax(v), A)), activation, v)


def _root(x: Array) -> Array:
    """The square root, of slope 0 at 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)
