"""RandomCAM: channels are weighted by chance, a floor for every method that weighs them."""

import jax
from jaxtyping import Array, Float

from .._dtypes import widen
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target


@of_probe
def randomcam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    key: Array | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """RandomCAM: `w_k ~ U(-1, 1)`, `M = Σ_k w_k A_k`. Whatever a method is worth, it is worth more than this.

    When: a floor in a table: what weights that know nothing reach.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: not used.
        key: of `jax.random`; `jax.random.key(0)` by default. Each image gets the same weights.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Source: pytorch-grad-cam's RandomCAM [third party], whose weights differ from image to image.
    """
    activation = probe(image)[1]
    A = widen(activation)
    key = jax.random.key(0) if key is None else key
    weights = jax.random.uniform(key, A.shape[-1:], A.dtype, -1, 1)
    return finite_only(fuse(weigh(weights, A)), activation)
