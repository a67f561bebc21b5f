"""SS-CAM and IS-CAM: Score-CAM with the score of each channel a mean, over noise on its mask or over its strength."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._display import normalise, resize
from .._dtypes import widen
from .._errors import check_count, choose
from .._fuse import Fuse, channel_sum, finite_only, weigh
from .._masks import overlaid, reader, varies
from .._method import of_probe
from ..devices._chunks import over_chunks
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._scorecam import WEIGHTS, channel_softmax

NOISE = ("mask", "input")


@of_probe
def sscam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    samples: int = 35,
    sigma: float | int = 2.0,
    noise: str = "mask",
    weights: str = "channels",
    key: Array | None = None,
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """SS-CAM: `s_k = mean_i s_c(x ⊙ (up(N(A_k)) + ε_ik))`, `ε_ik ~ N(0, σ²)` for every pixel, `w = softmax_k(s)`,
    `M = Σ_k w_k A_k`. No gradient.

    Noise of deviation 2 swamps a mask that lies in [0, 1]: the peer's default, kept for the sake of comparison. A
    channel that is constant weighs 0. The score of the whole image, which the peer takes from every score, cancels in
    the softmax. A callable target's value is the score.

    When: Score-CAM's weights hang on single masks; K times as many passes as draws may be spent.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        samples: number of draws for each channel.
        sigma: σ, the noise's standard deviation, at least 0.
        noise: what it is added to: "mask", the mask as above, not scaled again; or "input", the masked input,
            `x ⊙ up(N(A_k)) + ε_ik`, as the paper's second form.
        weights: "channels", as above; or "probability", `w_k = mean_i p_c`, without a softmax over channels.
        key: of `jax.random`; `jax.random.key(0)` by default. Each image gets the same draws.
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: `samples` or `chunk` below 1, a negative σ, unknown noise or weights.

    Source: Wang et al. 2020, "SS-CAM", arXiv 2006.14255 [paper] for a score averaged over noise; masks, the softmax and
    all defaults as TorchCAM's SSCAM [third party].
    """
    check_count("samples", samples)
    if not 0 <= sigma < math.inf:
        raise ValueError(f"sigma must be a number of at least 0; got {sigma!r}")
    choose("noise", noise, NOISE)
    behind = overlaid(image)
    key = jax.random.key(0) if key is None else key
    shape = image.shape[:-1] if noise == "mask" else image.shape

    def seen(mask: Array, number: Array) -> Array:
        drawn = sigma * jax.random.normal(jax.random.fold_in(key, number), shape, mask.dtype)
        return behind(mask + drawn) if noise == "mask" else behind(mask) + drawn.astype(image.dtype)

    return _averaged(probe, image, target, samples, seen, weights, chunk, fuse)


@of_probe
def iscam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    steps: int = 10,
    path: str = "cumulative",
    weights: str = "channels",
    chunk: int | None = None,
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """IS-CAM: `s_k = mean_i s_c(c_i x ⊙ up(N(A_k)))`, `w = softmax_k(s)`, `M = Σ_k w_k A_k`. No gradient.

    A channel that is constant weighs 0. A callable target's value is the score.

    When: a channel's effect should be measured on the way to its mask, not at its end alone.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        steps: n, the number of strengths of each mask.
        path: the strengths: "cumulative", `c_i = (1 + ... + i) / n`, up to (n + 1) / 2, as the peer adds them up;
            or "linear", `c_i = i / n`, up to the mask itself.
        weights: "channels", as above; or "probability", `w_k = mean_i p_c`, without a softmax over channels.
        chunk: masks that are forwarded at once; by default what suits the device, as in `jaxcam.explain`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: `steps` or `chunk` below 1, an unknown path or unknown weights.

    Source: Naidu et al. 2020, "IS-CAM", arXiv 2010.03023 [paper] for a score averaged along a path, "linear"; the
    softmax and all defaults as TorchCAM's ISCAM [third party].
    """
    check_count("steps", steps)
    strengths = choose("path", path, PATHS)(np.arange(1, steps + 1) / steps)
    behind = overlaid(image)

    def seen(mask: Array, number: Array) -> Array:
        return behind(jnp.asarray(strengths, mask.dtype)[number % steps] * mask)

    return _averaged(probe, image, target, steps, seen, weights, chunk, fuse)


PATHS = {"cumulative": np.cumsum, "linear": lambda at: at}


def _averaged(
    probe: Probe,
    image: Image,
    target: Target,
    each: int,
    seen: Callable[[Array, Array], Array],
    weights: str,
    chunk: int | None,
    fuse: Fuse,
) -> Array:
    """The map whose weights are the mean score of what is seen behind each mask `each` times.

    Args:
        seen: a mask of the image's size, and the number of the pass, of `each` for one mask after the other -> input.
    """
    score = choose("weights", weights, WEIGHTS)
    output, activation = probe(image)
    A = jnp.moveaxis(widen(activation), -1, 0)
    read, size = reader(output, target, score), image.shape[:-1]
    masks = normalise(A, rank=len(size))

    def one(number: Array) -> Array:
        return read(probe(seen(resize(masks[number // each], size), number))[0])

    scores = over_chunks(one, jnp.arange(len(masks) * each), chunk, image.shape)
    scores, valid = jnp.mean(scores.reshape(-1, each), axis=1), varies(A)
    scores = channel_softmax(scores, valid) if weights == "channels" else jnp.where(valid, scores, 0)
    return finite_only(fuse(weigh(scores, jnp.moveaxis(A, 0, -1))), activation, scores)
