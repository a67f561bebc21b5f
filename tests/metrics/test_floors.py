import jax
import numpy as np
import pytest

from jaxcam import metrics


def test_floors_are_maps():
    maps = metrics.floors(3, (20, 31), key=jax.random.key(0))
    assert set(maps) == {"random", "centre", "ones"}
    for each in maps.values():
        assert each.shape == (3, 20, 31)
        assert each.dtype == np.float32
        assert each.min() >= 0
        np.testing.assert_allclose(each.max(axis=(1, 2)), 1, rtol=1e-6)


def test_random_maps_differ_and_repeat_by_key():
    first, again, other = (metrics.random_maps(2, (32, 32), key=jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()
    coarse, fine = (
        np.abs(np.diff(metrics.random_maps(1, (32, 32), key=jax.random.key(0), cells=cells))).mean()
        for cells in (3, 16)
    )
    assert coarse < fine


def test_the_centred_map_is_a_gaussian():
    (bell,) = np.asarray(metrics.centred_maps(1, (41, 81), sigma=0.2))
    assert np.unravel_index(bell.argmax(), bell.shape) == (20, 40)
    np.testing.assert_allclose(bell, bell[::-1, ::-1], atol=1e-6)
    y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in bell.shape)
    expected = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.2**2))
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(bell, expected, atol=1e-5)


def test_the_centre_wins_where_objects_are_in_the_middle():
    maps = metrics.floors(1, (60, 60), key=jax.random.key(0))
    boxes = [[[20, 20, 40, 40]]]
    assert metrics.pointing_game(maps["centre"], boxes, tolerance=0) == 1
    assert metrics.pointing_game(maps["ones"], boxes, tolerance=0) == 0
    np.testing.assert_allclose(metrics.energy_pointing_game(maps["ones"], boxes), 1 / 9, atol=1e-6)


def test_bad_arguments():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"count .* got 0"):
        metrics.random_maps(0, (4, 4), key=key)
    with pytest.raises(ValueError, match=r"width .* got 0"):
        metrics.uniform_maps(1, (4, 0))
    with pytest.raises(ValueError, match=r"cells .* at least 2; got 1"):
        metrics.random_maps(1, (4, 4), key=key, cells=1)
    with pytest.raises(ValueError, match=r"sigma .* got 0"):
        metrics.centred_maps(1, (4, 4), sigma=0.0)
