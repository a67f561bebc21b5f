"""ROAD, remove and debias: pixels are removed by imputation, so that the removed region's shape is hidden."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import confidence, measure, over
from ._imputation import ITERATIONS, impute
from ._inputs import check_count, of_image
from ._keys import owned

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
NOISE = 0.01


def road(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    key: Array,
    percentiles: Iterable[float | int] = PERCENTILES,
    noise: float | int = NOISE,
    iterations: int = ITERATIONS,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """ROAD, combined, of each image: `mean_q (LeRF_q - MoRF_q) / 2`. Higher is better.

    `MoRF_q` is the probability of the target once the pixels at or above percentile q of the map are imputed: the
    most relevant. `LeRF_q` is that with 1 - L for the map: the least relevant. A removed pixel is the weighted mean of
    its 8 neighbours (a linear system, see `impute`) plus normal noise.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, H, W, C)` of floating point, preprocessed for the model.
        targets: an integer, integers `(B,)`, or None for the most likely class of the image.
        maps: `(B, H, W)` in [0, 1]; only their order counts.
        key: of jax.random, for the noise; or keys `(B,)`, each image's own, so that its noise does not depend on the
            batch that it is in. Both directions share it, so a constant map scores exactly 0.
        percentiles: of the map, each between 0 and 100.
        noise: its standard deviation, in units of the preprocessed image.
        iterations: of the imputation's solver.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `(B,)` in [-0.5, 0.5].

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite or leave [0, 1],
            percentiles or counts out of range.
        TypeError: images or maps that are not of floating point, targets that are not class indices.

    Source: Rong et al. 2022, arXiv 2202.00449 [paper]; percentiles and the combination are pytorch-grad-cam's
    [third party], the solver and the shared noise ours [ours].
    """
    return _run(probe, images, targets, maps, key, percentiles, noise, iterations, chunk)["road"]


def road_curves(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    key: Array,
    percentiles: Iterable[float | int] = PERCENTILES,
    noise: float | int = NOISE,
    iterations: int = ITERATIONS,
    chunk: int | None = None,
) -> tuple[Float[Array, "B Q"], Float[Array, "B Q"]]:
    """The probabilities MoRF and LeRF at each percentile, `(B, Q)` and `(B, Q)`, of which `road` is made.

    Args:
        probe, images, targets, maps, key, percentiles, noise, iterations, chunk: as in `road`: `(B, H, W, C)` and
            `(B, H, W)`.
    """
    results = _run(probe, images, targets, maps, key, percentiles, noise, iterations, chunk)
    return results["road_morf_curve"], results["road_lerf_curve"]


def _run(probe, images, targets, maps, key, percentiles, noise, iterations, chunk):
    family = roads, road_options(percentiles, noise, iterations)
    return measure(probe, images, targets, maps, family, key=key, chunk=chunk)


def road_options(percentiles, noise, iterations) -> tuple[tuple[str, object], ...]:
    wanted = tuple(float(q) for q in percentiles)
    if not wanted:
        raise ValueError("ROAD needs at least one percentile; got none")
    for q in wanted:
        if not 0 < q < 100:
            raise ValueError(f"a percentile lies between 0 and 100; got {q:g}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be a standard deviation of at least 0; got {noise}")
    return (
        ("percentiles", wanted),
        ("noise", float(noise)),
        ("iterations", check_count("iterations", iterations)),
    )


def roads(
    probe, images, targets, clean, maps, key, *, percentiles, noise, iterations, chunk
) -> dict[str, Array]:
    """The family, for `run`."""
    if images.ndim != 4:
        raise ValueError(
            "ROAD imputes a pixel from its 8 neighbours and is for pictures (B, H, W, C); got images of shape "
            f"{images.shape}: insertion and deletion take signals and volumes"
        )
    count = len(percentiles)
    thresholds = jax.vmap(lambda shown: quantiles(shown, percentiles))(maps)
    opposite = jax.vmap(lambda shown: quantiles(1 - shown, percentiles))(maps)

    own = owned(key)

    def one(job):
        index, q = job // count, job % count
        noisy = jax.random.fold_in(key[index], q) if own else jax.random.fold_in(key, job)
        image, shown = images[index], maps[index]
        known = jnp.stack([shown < thresholds[index, q], 1 - shown < opposite[index, q]])
        filled = jax.vmap(lambda each: impute(image, each, iterations=iterations))(known)
        added = noise * jax.random.normal(noisy, image.shape, image.dtype)
        seen = jnp.where(known[..., None], filled, filled + added[None])
        return jax.vmap(lambda each: confidence(probe, each, of_image(targets, index)))(seen)

    pairs = over(images.shape[0] * count, max(1, chunk // 2), one).reshape(images.shape[0], count, 2)
    morf, lerf = pairs[..., 0], pairs[..., 1]
    return {
        "road": jnp.mean(lerf - morf, axis=1) / 2,
        "road_morf": jnp.mean(morf, axis=1) - clean,
        "road_lerf": jnp.mean(lerf, axis=1) - clean,
        "road_morf_curve": morf,
        "road_lerf_curve": lerf,
    }


def quantiles(values: Float[Array, "H W"], percentiles: Sequence[float | int]) -> Float[Array, "Q"]:
    """Percentiles by linear interpolation; exactly the value itself where neighbours are equal, since pixels at the
    threshold are removed."""
    ordered = jnp.sort(values.ravel())
    places = np.asarray(percentiles) / 100 * (ordered.size - 1)
    below = np.floor(places).astype(np.int32)
    low, high = ordered[below], ordered[np.minimum(below + 1, ordered.size - 1)]
    return low + jnp.asarray(places - below, values.dtype) * (high - low)
