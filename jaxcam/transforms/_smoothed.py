"""Maps of noisy copies of the input, averaged: SmoothGrad for any method."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._dtypes import widen
from .._errors import check_count, choose
from .._method import Method
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._transformed import Transformed, check_method, fixed, settled

STATISTICS = {
    "mean": lambda maps: jnp.mean(maps, axis=0),
    "square": lambda maps: jnp.mean(maps**2, axis=0),
    "variance": lambda maps: jnp.var(maps, axis=0),
}


def smoothed(
    method: Method,
    *,
    samples: int = 25,
    sigma: float | int = 0.15,
    key: Array | None = None,
    statistic: str = "mean",
    chunk: int = 1,
) -> Transformed:
    """A method whose map is a statistic of the maps of noisy inputs: `M = mean_i M(x + ε_i)`, `ε_i ~ N(0, (σ r)²)`.

    r is the range of the input, `max x - min x`. At the input as the layer, `smoothed(hirescam)` is SmoothGrad × input;
    `smoothed(gradcampp)` is SmoothGrad-CAM++ with maps averaged instead of derivatives. Where the target is None, the
    class is the most likely one of the input without noise, for all samples.

    When: a map of one input is noisy; its spread over draws is of interest (`statistic="variance"`).

    Args:
        method: any method; the result has its signature and its options.
        samples: number of noisy inputs.
        sigma: σ, the noise's standard deviation as a share of the input's range, at least 0.
        key: of `jax.random`; `jax.random.key(0)` by default. Each image gets the same draws.
        statistic: "mean"; "square", the mean of squares (SmoothGrad²); "variance" (VarGrad).
        chunk: samples computed at once, for each image of a batch.

    Raises:
        ValueError: samples or chunk below 1, a negative σ, an unknown statistic.
        TypeError: a method that is not a function, a key that is traced.

    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825 [paper] for mean and σ as a share of the range;
    "square" and "variance": Adebayo et al. 2018, arXiv 1810.03307 [paper]; for other methods than the gradient [ours].

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> calm = jaxcam.smoothed(jaxcam.gradcampp, samples=4)
        >>> calm
        smoothed(gradcampp, samples=4)
        >>> images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
        >>> jaxcam.explain(probe, images, 3, method=calm).shape
        (2, 32, 32)
    """
    check_method("smoothed", method)
    check_count("samples", samples)
    check_count("chunk", chunk)
    choose("statistic", statistic, STATISTICS)
    if not 0 <= sigma < math.inf:
        raise ValueError(f"sigma must be a number of at least 0; got {sigma!r}")
    settings = {"samples": samples, "sigma": sigma, "key": fixed(key), "statistic": statistic, "chunk": chunk}
    return Transformed(method, _smoothed, tuple(settings.items()))


def _smoothed(
    method: Method,
    probe: Probe,
    image: Image,
    target: Target,
    *,
    samples: int = 25,
    sigma: float | int = 0.15,
    key: Array | None = None,
    statistic: str = "mean",
    chunk: int = 1,
) -> Array:
    target = settled(probe, image, target)
    picture = widen(jnp.asarray(image))
    deviation = sigma * (jnp.max(picture) - jnp.min(picture))

    def one(key: Array) -> Array:
        noise = deviation * jax.random.normal(key, picture.shape, picture.dtype)
        return method(probe, (picture + noise).astype(image.dtype), target)

    keys = jax.random.split(jax.random.key(0) if key is None else key, samples)
    return STATISTICS[statistic](jax.lax.map(one, keys, batch_size=chunk))
