"""ARCC: coherency, complexity and ROAD in one figure."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from .._method import Method
from ..probes._probe import Probe
from ..targets._several import Targets
from ._adcc import combine, complexity, harmonic
from ._confidence import measure
from ._imputation import ITERATIONS
from ._inputs import check
from ._road import NOISE, PERCENTILES, road_options, roads


def arcc(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    method: Method | str,
    key: Array,
    percentiles: Iterable[float | int] = PERCENTILES,
    noise: float | int = NOISE,
    iterations: int = ITERATIONS,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """ARCC of each image: `3 / (1 / coherency + 1 / (1 - complexity) + 1 / R)`, `R = clip(2 ROAD, 0, 1)`.

    Higher is better. ADCC with ROAD in place of Average Drop, which bright maps win.

    Args:
        probe, images, targets, maps, method, chunk, **options: as in `coherency`: `(B, H, W, C)` (`(B, *space, C)`
            for pictures only) and `(B, H, W)`.
        key, percentiles, noise, iterations: as in `road`.

    Returns:
        `(B,)` in [0, 1]; 0 where one of the three is 0, as for a map that is no better than its opposite.

    Source: "RefineCAM", arXiv 2605.14641 [paper], as our notes have it: its text was not at hand [ours].
    """
    images, _, maps = check(probe, images, targets, maps)
    family = roads, road_options(percentiles, noise, iterations)
    results = measure(probe, images, targets, maps, family, key=key, chunk=chunk)
    coherent = combine(probe, images, targets, maps, results, method, options)["coherency"]
    return _mean(coherent, complexity(maps), results["road"])


@jax.jit
def _mean(coherent, complex_, road):
    return harmonic(
        coherent, 1 - complex_.astype(coherent.dtype), jnp.clip(2 * road.astype(coherent.dtype), 0, 1)
    )
