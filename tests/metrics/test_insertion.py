import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from metric_cases import case
from selection import exhaustive

import jaxcam
from jaxcam import metrics
from jaxcam._masks import blur
from jaxcam.metrics._insertion import rank


@pytest.mark.parametrize("steps", exhaustive([1, 7, 24, 224], lambda steps: steps not in (7, 224)))
def test_curves_and_areas_equal_a_loop(steps, x64):
    """224 steps of 168 pixels: some steps turn none."""
    probe, images, targets, maps = case(np.float64, count=2)
    zero = np.zeros_like(images)
    blurred = np.stack([oracle.gaussian_blur(x) for x in images])
    for name, before, after in (("insertion", blurred, images), ("deletion", images, zero)):
        expected = np.stack(
            [
                oracle.curve(probe, x, c, L, b, a, steps)
                for x, c, L, b, a in zip(images, targets, maps, before, after, strict=True)
            ]
        )
        curves = getattr(metrics, f"{name}_curve")(probe, images, targets, maps, steps=steps)
        assert curves.shape == (2, steps + 1)
        np.testing.assert_allclose(curves, expected, atol=1e-10)
        area = getattr(metrics, name)(probe, images, targets, maps, steps=steps)
        np.testing.assert_allclose(area, np.trapezoid(expected, dx=1 / steps, axis=1), atol=1e-10)


def test_the_blur_is_the_window_over_zeros(x64):
    x = np.random.default_rng(0).normal(size=(2, 9, 30, 3))
    np.testing.assert_allclose(
        jax.vmap(blur)(jnp.asarray(x)), [oracle.gaussian_blur(each) for each in x], atol=1e-12
    )
    inside = blur(jnp.ones((31, 31, 1)))[5:-5, 5:-5]
    np.testing.assert_allclose(inside, 1, atol=1e-12)


def test_insertion_ends_where_deletion_starts():
    probe, images, targets, maps = case()
    inserted = metrics.insertion_curve(probe, images, targets, maps, steps=9)
    deleted = metrics.deletion_curve(probe, images, targets, maps, steps=9)
    np.testing.assert_array_equal(inserted[:, -1], deleted[:, 0])
    clean = [oracle.probability(probe, x, c) for x, c in zip(images, targets, strict=True)]
    np.testing.assert_allclose(deleted[:, 0], clean, rtol=1e-5)


def test_the_area_under_a_constant_is_the_constant(x64):
    def head(a):
        return np.array([[0.3, 1.2, -0.5]]) + 0 * a.sum()

    probe = jaxcam.probe(split=(lambda x: x, head))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    maps = np.random.default_rng(1).uniform(size=(2, 8, 8))
    p = np.exp(1.2) / np.exp([0.3, 1.2, -0.5]).sum()
    for metric in (metrics.insertion, metrics.deletion):
        np.testing.assert_allclose(metric(probe, images, 1, maps, steps=5), p, atol=1e-12)


def test_equal_saliency_goes_row_by_row():
    ties = np.array([[0.5, 1, 0.5], [1, 0, 0.5]], np.float32)
    np.testing.assert_array_equal(rank(jnp.asarray(ties)), [[2, 0, 3], [1, 5, 4]])


def test_only_the_order_of_a_map_counts():
    probe, images, targets, maps = case()
    for metric in (metrics.insertion, metrics.deletion):
        np.testing.assert_array_equal(
            metric(probe, images, targets, maps, steps=6), metric(probe, images, targets, maps**2, steps=6)
        )


def test_a_better_map_has_the_better_areas():
    """The class is decided by one corner: a map of that corner inserts and deletes it first."""

    def head(a):
        return np.float32(40) * np.array([[1, 0]], np.float32) * a[0, :4, :4].mean()

    probe = jaxcam.probe(split=(lambda x: x, head))
    images = np.ones((2, 16, 16, 3), np.float32)
    maps = np.zeros((2, 16, 16), np.float32)
    maps[0, :4, :4], maps[1, -4:, -4:] = 1, 1
    inserted, deleted = (
        metric(probe, images, 0, maps, steps=16) for metric in (metrics.insertion, metrics.deletion)
    )
    assert inserted[0] >= inserted[1]
    assert deleted[0] < deleted[1] - 0.1
