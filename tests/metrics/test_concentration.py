import numpy as np
import pytest
from scipy import stats

from jaxcam import metrics

MAPS = np.random.default_rng(0).normal(size=(3, 9, 11)) * np.array([1, 1e-3, 40])[:, None, None]


def gini(values):
    """As Quantus has it, with its 1e-7 at the scale of the map."""
    values = np.sort(np.abs(values).ravel()) + 1e-7 * np.abs(values).mean()
    ranks = np.arange(1, values.size + 1)
    return ((2 * ranks - values.size - 1) * values).sum() / (values.size * values.sum())


def test_equal_the_formulas(x64):
    np.testing.assert_allclose(metrics.sparseness(MAPS), [gini(each) for each in MAPS], atol=1e-6)
    expected = [stats.entropy(np.abs(each).ravel()) for each in MAPS]
    np.testing.assert_allclose(metrics.entropy(MAPS), expected, atol=1e-10)


def test_single_precision():
    maps = MAPS.astype(np.float32)
    np.testing.assert_allclose(metrics.sparseness(maps), [gini(each) for each in MAPS], atol=1e-5)
    np.testing.assert_allclose(
        metrics.entropy(maps), [stats.entropy(np.abs(m).ravel()) for m in MAPS], atol=1e-5
    )


def test_extremes():
    ones, zeros, point = np.ones((3, 4, 6), np.float32)
    zeros[:] = 0
    point[:] = 0
    point[2, 3] = 7
    maps = np.stack([ones, zeros, point])
    np.testing.assert_allclose(metrics.sparseness(maps), [0, 0, 23 / 24], atol=1e-6)
    np.testing.assert_allclose(metrics.entropy(maps), [np.log(24), 0, 0], atol=1e-6)


@pytest.mark.parametrize("metric", [metrics.sparseness, metrics.entropy])
def test_ranks_and_scale(metric):
    maps = MAPS.astype(np.float32)
    values = metric(maps)
    np.testing.assert_allclose(metric(maps.reshape(3, 99), rank=1), values, rtol=1e-5)
    np.testing.assert_allclose(metric(maps.reshape(3, 3, 3, 11), rank=3), values, rtol=1e-5)
    np.testing.assert_allclose(metric(100 * maps), values, rtol=1e-5)
    with pytest.raises(ValueError, match=r"\(B, L\)"):
        metric(maps, rank=1)
