"""Several metrics of one batch, which share one compiled program."""

from collections.abc import Collection, Iterable, Mapping
from typing import cast

from jaxtyping import Array, Float

from .._dtypes import ArrayLike
from .._errors import unknown
from .._method import Method
from ..probes._probe import Probe
from ..targets._several import Targets
from ._adcc import combine, complexity
from ._boxes import Boxes
from ._brightness import even_drops
from ._concentration import entropy, sparseness
from ._confidence import measure
from ._drop import drops
from ._imputation import ITERATIONS
from ._inputs import check, check_count
from ._insertion import deletions, insertions
from ._pointing import energy_pointing_game, pointing_game
from ._registry import METRICS, NEED_NOTHING, STEPS, TABLE, TOLERANCE
from ._road import NOISE, PERCENTILES, road_options, roads


def evaluate(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    metrics: Collection[str] = NEED_NOTHING,
    steps: int = STEPS,
    key: Array | None = None,
    percentiles: Iterable[float | int] = PERCENTILES,
    noise: float | int = NOISE,
    iterations: int = ITERATIONS,
    boxes: Boxes | None = None,
    tolerance: float | int = TOLERANCE,
    method: Method | str | None = None,
    options: Mapping[str, object] | None = None,
    chunk: int | None = None,
) -> dict[str, Float[Array, "B"]]:
    """Several metrics of each image; equal to the functions of the same names, with one plain forward pass for all.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: an integer, integers `(B,)`, or None for the most likely class of the image.
        maps: `(B, *space)` in [0, 1].
        metrics: names of `jaxcam.metrics.METRICS`.
        steps: of insertion and deletion.
        key, percentiles, noise, iterations: of ROAD, which needs the key, or a key for each image.
        boxes, tolerance: of the pointing games, which need the boxes.
        method, options: what made the maps; coherency and ADCC need the method.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `{name: (B,)}` in the order of `metrics`, in each metric's units.

    Raises:
        ValueError: an unknown metric, a metric without what it needs, and what its function raises.
        TypeError: as the metrics' functions.
    """
    _check_names(metrics, key=key, boxes=boxes, method=method)
    images, _, maps = check(probe, images, targets, maps)
    # Run what needs forward passes in one compiled program.
    work = {each for name in metrics for each in TABLE[name].work}
    families = []
    if "drop" in work:
        families.append((drops, ()))
    if "even" in work:
        families.append((even_drops, ()))
    for name, family in (("insertion", insertions), ("deletion", deletions)):
        if name in work:
            families.append((family, (("steps", check_count("steps", steps)),)))
    if "road" in work:
        families.append((roads, road_options(percentiles, noise, iterations)))
    results = {}
    if work:
        results = measure(probe, images, targets, maps, *families, key=key, chunk=chunk)
    # Explain the masked images again.
    if "again" in work:
        results |= combine(probe, images, targets, maps, results, method, options or {})
    # Compute the rest from the maps alone.
    for name, of_maps in (("complexity", complexity), ("sparseness", sparseness), ("entropy", entropy)):
        if name in metrics:
            results[name] = of_maps(maps, rank=images.ndim - 2)
    if "pointing_game" in metrics:  # then there are boxes: _check_names has asked for them
        results["pointing_game"] = pointing_game(maps, cast(Boxes, boxes), tolerance=tolerance)
    if "energy_pointing_game" in metrics:
        results["energy_pointing_game"] = energy_pointing_game(maps, cast(Boxes, boxes))
    return {name: results[name] for name in metrics}


def _check_names(metrics, **given):
    if isinstance(metrics, str) or not metrics:
        raise ValueError(f"metrics must be a list of names; got {metrics!r}")
    for name in metrics:
        if name not in METRICS:
            raise ValueError(unknown("metric", name, METRICS, show=99))
        need = TABLE[name].needs
        if need is not None and given[need] is None:
            raise ValueError(f"{name} needs {need}=")
