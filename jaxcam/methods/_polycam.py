"""Poly-CAM: Score-CAM's maps of several layers multiplied, from the deepest to the finest."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import resize
from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._masks import SCORES, overlaid, reader
from .._method import of_layers
from ..devices._chunks import over_chunks
from ..probes._probe import Image, Probe
from ..targets._score import Target

SIGNS = ("+", "-", "+-")
SMALL = 1e-12  # what is divided by at least


@of_layers
def polycam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    sign: str = "+",
    local: bool = True,
    percentile: float | int = 0.1,
    score: str = "softmax",
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """Poly-CAM: `B_l = relu(Σ_k w_k A_k)` of every layer with `w_k = p_c(x ⊙ up(N(A_k)))`, and from the deepest layer
    to the finest `P_l = L(B_l) ⊙ up(P_(l+1))`; `M = N(P)` of the finest.

    `L(B) = B / up(down(B))` is the local normalisation, down being the resize to the deeper layer's size. N takes
    percentiles for the extremes: `N(m) = clip((m - low) / high, 0, 1)`. The probe has several layers, each of another
    size, such as the last before every change of size; of one layer it is that layer's `N(B)`. No gradient.

    When: maps of the input's fineness from masks; the probe has the layers before each change of size.

    Args:
        probe: layers of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        sign: "+", as above; "-": `w_k = relu(p - p(1 - m_k))`, what is lost without the channel, p being the
            score of the whole image, p(m) that behind a mask; or "+-": `w_k = relu(p(m_k) + p - p(1 - m_k))`.
        local: whether maps are normalised locally before they are multiplied.
        percentile: of N, from 0 to below 50, and 100 minus that; 0: the smallest and the largest value.
        score: p, "softmax": the target's probability; or "logit".
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` of a layer -> map `(*space)`.

    Returns:
        Raw map `(*space)` in [0, 1], at the size of the finest layer.

    Raises:
        ValueError: layers of the same size, unknown sign or score, a percentile or `chunk` out of range.

    Source: Englebert et al. 2022, "Poly-CAM", arXiv 2204.13359 [paper]; all defaults as the authors' code.
    """
    choose("sign", sign, SIGNS)
    choose("score", score, SCORES)
    if not 0 <= percentile < 50:
        raise ValueError(f"percentile must be a number from 0 to below 50; got {percentile!r}")
    output, seen = probe(image)
    layers = {name: widen(each) for name, each in (seen if len(probe.layers) > 1 else {"": seen}).items()}
    sizes = {name: A.shape[:-1] for name, A in layers.items()}
    if len({math.prod(size) for size in sizes.values()}) < len(sizes):
        raise ValueError(
            f"polycam takes layers of different sizes, such as the last before each change of size; got {sizes}"
        )
    read = reader(output, target, score)
    whole, behind = read(output), overlaid(image)

    def weight(channel: Array) -> Array:
        mask = resize(_unit(channel, percentile), image.shape[:-1])
        kept = read(probe(behind(mask))[0]) if "+" in sign else jnp.zeros_like(whole)
        lost = whole - read(probe(behind(1 - mask))[0]) if "-" in sign else jnp.zeros_like(whole)
        return kept if sign == "+" else jax.nn.relu(kept + lost)

    def of_layer(A: Array) -> Array:
        weights = over_chunks(weight, jnp.moveaxis(A, -1, 0), chunk, image.shape)
        return jax.nn.relu(fuse(weigh(weights, A)))

    coarsest, *finer = sorted(layers.values(), key=lambda A: math.prod(A.shape[:-1]))
    found = of_layer(coarsest)
    for A in finer:
        shown = of_layer(A)
        if local:
            coarse = resize(resize(shown, found.shape), shown.shape)
            shown = shown / jnp.maximum(coarse, SMALL)
        found = shown * resize(found, shown.shape)
    return finite_only(_unit(found, percentile), *layers.values())


def _unit(map: Array, percentile: float | int) -> Array:
    low, high = jnp.percentile(map, jnp.asarray([percentile, 100 - percentile], map.dtype))
    return jnp.clip((map - low) / jnp.maximum(high, SMALL), 0, 1)
