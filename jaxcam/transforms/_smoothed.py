"""Maps of noisy copies of the input, averaged, or of their averaged derivatives: SmoothGrad for any method."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._dtypes import widen
from .._errors import check_count, choose
from .._method import Method
from ..probes._looked import MeanLook
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._gradients import weighted_sum, with_look
from ._transformed import Transformed, check_method, fixed, settled

STATISTICS = {
    "mean": lambda maps: jnp.mean(maps, axis=0),
    "square": lambda maps: jnp.mean(maps**2, axis=0),
    "variance": lambda maps: jnp.var(maps, axis=0),
    "derivatives": None,
}
POWERS = (1, 2, 3)  # of the gradient, for the methods that look at its mean


def smoothed(
    method: Method,
    *,
    samples: int = 25,
    sigma: float | int = 0.15,
    relative: bool = True,
    key: Array | None = None,
    statistic: str = "mean",
    chunk: int = 1,
) -> Transformed:
    """A method whose map is a statistic of the maps of noisy inputs: `M = mean_i M(x + ε_i)`, `ε_i ~ N(0, (σ r)²)`.

    r is the range of the input, `max x - min x`. At the input as the layer, `smoothed(hirescam)` is SmoothGrad × input.
    With "derivatives" the method runs once, on the activation of the input without noise and on the mean over the noisy
    inputs of the gradient and of its powers; that of `gradcampp` is SmoothGrad-CAM++. Where the target is None, the
    class is the most likely one of the input without noise, for all samples.

    When: a map of one input is noisy; its spread over draws is of interest (`statistic="variance"`).

    Args:
        method: any method; the result has its signature and its options.
        samples: number of noisy inputs.
        sigma: σ, the noise's standard deviation as a share of the input's range, at least 0.
        relative: whether it is such a share; with False, r is 1.
        key: of `jax.random`; `jax.random.key(0)` by default. Each image gets the same draws.
        statistic: of the maps: "mean"; "square", the mean of squares (SmoothGrad²); "variance" (VarGrad). Of the
            gradients: "derivatives", whose sums are kept, and not the gradients.
        chunk: samples computed at once, for each image of a batch.

    Raises:
        ValueError: samples or chunk below 1, a negative σ, an unknown statistic; with "derivatives", a method that does
            not ask for gradients.
        TypeError: a method that is not a function, a key that is traced.

    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825 [paper] for mean and σ as a share of the range;
    "square" and "variance": Adebayo et al. 2018, arXiv 1810.03307 [paper]; "derivatives": Omeiza et al. 2019, "Smooth
    Grad-CAM++", arXiv 1908.01224 [paper]; for other methods than the gradient [ours].

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
    settings = {
        "samples": samples,
        "sigma": sigma,
        "relative": bool(relative),
        "key": fixed(key),
        "statistic": statistic,
        "chunk": chunk,
    }
    return Transformed(method, _smoothed, tuple(settings.items()))


def _smoothed(
    method: Method,
    probe: Probe,
    image: Image,
    target: Target,
    *,
    samples: int = 25,
    sigma: float | int = 0.15,
    relative: bool = True,
    key: Array | None = None,
    statistic: str = "mean",
    chunk: int = 1,
) -> Array:
    target = settled(probe, image, target)
    image = jnp.asarray(image)
    picture = widen(image)
    deviation = sigma * (jnp.max(picture) - jnp.min(picture)) if relative else sigma

    def noisy(key: Array) -> Array:
        noise = deviation * jax.random.normal(key, picture.shape, picture.dtype)
        return (picture + noise).astype(image.dtype)

    keys = jax.random.split(jax.random.key(0) if key is None else key, samples)
    if statistic == "derivatives":
        return _of_derivatives(method, probe, image, target, noisy, keys, chunk)
    maps = jax.lax.map(lambda key: method(probe, noisy(key), target), keys, batch_size=chunk)
    return STATISTICS[statistic](maps)


def _of_derivatives(
    method: Method,
    probe: Probe,
    image: Image,
    target: Target,
    noisy: Callable[[Array], Array],
    keys: Array,
    chunk: int,
) -> Array:
    look = probe.look(image, target)

    def powers(key: Array) -> dict:
        found = probe.look(noisy(key), target)
        return {each: found.power(each) for each in POWERS}

    share = np.full(len(keys), 1 / len(keys), look.score.dtype)
    means = weighted_sum(powers, keys, share, chunk, dict.fromkeys(POWERS, look.gradient))
    return with_look("smoothed", method, probe, image, target, MeanLook.of(look, means))
