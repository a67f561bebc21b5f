import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from metric_cases import case
from scipy.optimize import brentq

from jaxcam import metrics


def evened(shown):
    """The power by scipy's root finder, over a wider range than ours."""
    exponent = brentq(lambda e: np.mean(shown**2.0**e) - 0.5, -40, 40, xtol=1e-13)
    return shown**2.0**exponent


def spread(count=3, size=(12, 14)):
    """Maps above 0 nearly everywhere, some dark and some bright."""
    powers = np.array([3, 0.3, 1])[:count, None, None]
    return np.random.default_rng(3).uniform(size=(count, *size)) ** powers


def test_every_mean_is_one_half(x64):
    maps = spread()
    even = np.asarray(metrics.at_equal_brightness(maps))
    np.testing.assert_allclose(even.mean(axis=(1, 2)), 0.5, atol=1e-12)
    np.testing.assert_allclose(even, [evened(each) for each in maps], atol=1e-10)
    np.testing.assert_array_equal(even.reshape(3, -1).argsort(), maps.reshape(3, -1).argsort())


def test_maps_whose_mean_cannot_be_one_half():
    """A map that is 0 in most positions becomes 1 where it is not; one that is 1 in most becomes 0 elsewhere."""
    dark, bright = np.zeros((2, 6, 8), np.float32)
    dark[1, 2:5] = 0.2, 0.7, 1
    bright[:5], bright[5] = 1, 0.4
    maps = np.stack([dark, bright, np.zeros_like(dark), np.ones_like(dark)])
    expected = np.stack([dark > 0, bright == 1, dark < 0, dark >= 0])
    even = metrics.at_equal_brightness(maps)
    np.testing.assert_allclose(even, expected, atol=1e-5)
    np.testing.assert_array_equal(
        metrics.at_equal_brightness(maps.reshape(4, 48), rank=1), even.reshape(4, 48)
    )


def test_drop_is_that_of_the_even_maps(x64):
    probe, images, targets, _ = case(np.float64)
    maps = spread()
    expected = []
    for x, c, L in zip(images, targets, maps, strict=True):
        Y, O = (oracle.probability(probe, each, c) for each in (x, x * evened(L)[..., None]))
        expected.append(100 * max(0, Y - O) / Y)
    drops = metrics.drop_at_equal_brightness(probe, images, targets, maps)
    assert max(expected) > 0
    np.testing.assert_allclose(drops, expected, atol=1e-7)
    np.testing.assert_allclose(
        metrics.drop_at_equal_brightness(probe, images, targets, maps**3), drops, atol=1e-7
    )


def test_halves_and_ranges():
    half = jnp.asarray(spread(), jnp.bfloat16)
    assert metrics.at_equal_brightness(half).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"\[0, 1\].* map 0 spans"):
        metrics.at_equal_brightness(3 * spread())
