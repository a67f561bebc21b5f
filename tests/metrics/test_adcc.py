import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from metric_cases import case

import jaxcam
from jaxcam import metrics
from jaxcam.metrics._correlation import pearson


@pytest.mark.parametrize(
    ("method", "options"), [("gradcam", {}), (jaxcam.layercam, {"fuse": jaxcam.principal_component})]
)
def test_equals_the_definition(method, options, x64):
    probe, images, targets, _ = case(np.float64)
    maps = np.asarray(jaxcam.explain(probe, images, targets, method=method, **options))
    expected, coherent = [], []
    for x, c, L in zip(images, targets, maps, strict=True):
        seen = x * L[..., None]
        again = np.asarray(jaxcam.explain(probe, seen[None], int(c), method=method, **options))[0]
        coherent.append((np.corrcoef(L.ravel(), again.ravel())[0, 1] + 1) / 2)
        Y, O = oracle.probability(probe, x, c), oracle.probability(probe, seen, c)
        parts = coherent[-1], 1 - L.mean(), 1 - max(0, Y - O) / Y
        expected.append(3 / sum(1 / part for part in parts))
    np.testing.assert_allclose(
        metrics.coherency(probe, images, targets, maps, method=method, **options), coherent, atol=1e-9
    )
    np.testing.assert_allclose(
        metrics.adcc(probe, images, targets, maps, method=method, **options), expected, atol=1e-9
    )
    np.testing.assert_allclose(metrics.complexity(maps), [L.mean() for L in maps], atol=1e-12)


def test_the_masked_image_keeps_the_class_of_the_whole_one():
    probe, images, _, maps = case()
    best = np.array([int(np.argmax(probe(x)[0])) for x in images])
    np.testing.assert_array_equal(
        metrics.coherency(probe, images, None, maps, method="gradcam"),
        metrics.coherency(probe, images, best, maps, method="gradcam"),
    )


def test_a_callable_is_the_target_of_both_images():
    probe, images, _, maps = case()
    np.testing.assert_allclose(
        metrics.adcc(probe, images, jaxcam.probability(3), maps, method="layercam"),
        metrics.adcc(probe, images, [jaxcam.probability(3)] * 3, maps, method="layercam"),
        atol=1e-6,
    )


def test_complexity_of_the_extremes():
    maps = np.stack([np.zeros((4, 6)), np.ones((4, 6)), -np.ones((4, 6))]).astype(np.float32)
    np.testing.assert_array_equal(metrics.complexity(maps), [0, 1, 1])


def test_maps_of_ones_and_of_zeros():
    """Ones are as complex as can be: ADCC 0. Zeros correlate with nothing: coherency 1/2."""
    probe, images, targets, _ = case()
    ones, zeros = np.ones((3, 12, 14), np.float32), np.zeros((3, 12, 14), np.float32)
    np.testing.assert_array_equal(metrics.adcc(probe, images, targets, ones, method="gradcam"), 0)
    np.testing.assert_array_equal(metrics.coherency(probe, images, targets, zeros, method="gradcam"), 0.5)
    drop = np.asarray(metrics.average_drop(probe, images, targets, zeros)) / 100
    expected = np.where(drop < 1, 3 / (2 + 1 + 1 / np.maximum(1 - drop, 1e-9)), 0)
    np.testing.assert_allclose(
        metrics.adcc(probe, images, targets, zeros, method="gradcam"), expected, rtol=1e-5
    )


def test_pearson():
    a, b = jax.random.uniform(jax.random.key(0), (2, 20, 30))
    np.testing.assert_allclose(pearson(a, b), np.corrcoef(a.ravel(), b.ravel())[0, 1], atol=1e-6)
    assert pearson(a, 2 * a + 1) == pytest.approx(1, abs=1e-6)
    assert pearson(a, -a) == pytest.approx(-1, abs=1e-6)
    for value in (0, 1, 0.3):
        constant = jnp.full_like(a, value)
        assert pearson(a, constant) == 0
        assert pearson(constant, constant) == 0


def test_bad_methods():
    probe, images, targets, maps = case()
    with pytest.raises(ValueError, match="no method 'gradcan'; did you mean 'gradcam'"):
        metrics.adcc(probe, images, targets, maps, method="gradcan")
    with pytest.raises(TypeError, match="no option 'fuze'"):
        metrics.adcc(probe, images, targets, maps, method="gradcam", fuze=1)
