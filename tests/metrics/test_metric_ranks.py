"""Metrics of maps of signals and volumes."""

import jax
import numpy as np
import pytest
from ranks import PLACES, SPACES, pointwise

from jaxcam import metrics


def test_metrics_take_signals_and_volumes():
    """Every metric of a map equals that of the same positions laid out as a picture, but for a blur, which is along
    the axes."""
    flat = np.random.default_rng(0).normal(size=(2, PLACES, 2)).astype(np.float32)
    shown = np.random.default_rng(1).uniform(size=(2, PLACES)).astype(np.float32)
    names = ("average_drop", "average_increase", "average_gain", "deletion", "complexity")

    def measured(rank, names=names, **options):
        space = SPACES[rank]
        images, maps = flat.reshape(2, *space, 2), shown.reshape(2, *space)
        return metrics.evaluate(pointwise(rank), images, [0, 1], maps, metrics=names, steps=4, **options)

    wanted = measured(2)
    for rank in (1, 3):
        found = measured(rank)
        for name in names:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, atol=1e-4, err_msg=name)
        more = measured(rank, ("insertion", "coherency"), method="hirescam")
        assert all(np.all((each >= 0) & (each <= 1)) for each in more.values())
        with pytest.raises(ValueError, match=r"ROAD imputes .* is for pictures"):
            measured(rank, ("road",), key=jax.random.key(0))
        with pytest.raises(ValueError, match=r"maps must be a batch \(B, H, W\)"):
            metrics.complexity(shown.reshape(2, *SPACES[rank]))


def test_pointing_at_intervals_and_cuboids():
    signals, volumes = np.zeros((2, 20), np.float32), np.zeros((2, 6, 8, 10), np.float32)
    signals[0, 4] = signals[1, 12] = volumes[0, 1, 5, 9] = volumes[1, 5, 5, 1] = 1
    cases = ((signals, [[[3, 6]], [3, 6]]), (volumes, [[[8, 4, 0, 10, 7, 3]]] * 2))
    for maps, boxes in cases:
        np.testing.assert_array_equal(metrics.pointing_game(maps, boxes, tolerance=0), [1, 0])
        np.testing.assert_array_equal(metrics.energy_pointing_game(maps, boxes), [1, 0])
        ones = np.ones_like(maps)
        low, high = np.split(np.reshape(boxes[0], -1), 2)
        share = np.prod(high - low) / maps[0].size
        np.testing.assert_allclose(metrics.energy_pointing_game(ones, boxes), share, rtol=1e-6)
    np.testing.assert_array_equal(metrics.pointing_game(signals, cases[0][1], tolerance=8), 1)  # 7 apart
    with pytest.raises(ValueError, match=r"maps must be a batch \(B, H, W\)"):
        metrics.pointing_game(volumes, [[[0, 0, 4, 4]]] * 2)
    with pytest.raises(ValueError, match=r"leaves the 20 pixels \(length\)"):
        metrics.pointing_game(signals, [[3, 21]] * 2)


def test_floors_of_signals_and_volumes():
    for size in ((30,), (9, 11, 15)):
        maps = jax.jit(lambda key, size=size: metrics.floors(2, size, key=key))(jax.random.key(0))
        assert {each.shape for each in maps.values()} == {(2, *size)}
        bell = np.asarray(maps["centre"][0])
        assert np.unravel_index(bell.argmax(), size) == tuple((side - 1) // 2 for side in size)
