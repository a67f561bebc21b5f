"""Metrics that explain again: random logit, max-sensitivity and ARCC."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metric_cases import case
from ranks import batch, net
from scipy import stats

import jaxcam
from jaxcam import metrics
from jaxcam.metrics._other_class import pairs_of

KEY = jax.random.key(0)


def test_random_logit(x64):
    probe, images, targets, _ = case(np.float64)
    found = metrics.random_logit(probe, images, targets, method="gradcam", key=KEY)
    # Every class but its own is as near as another, so a map of one of them is it.
    maps = np.asarray(
        jaxcam.explain(probe, images, np.tile(np.arange(5), (3, 1)), method="gradcam", raw=True)
    )
    keys = jax.vmap(lambda image: jax.random.fold_in(KEY, image))(jnp.arange(3))
    pairs = np.asarray(pairs_of(jnp.asarray(targets, jnp.int32), keys, 5))
    np.testing.assert_array_equal(pairs[:, 0], targets)
    expected = [stats.spearmanr(maps[i, c].ravel(), maps[i, d].ravel())[0] for i, (c, d) in enumerate(pairs)]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_every_other_class_is_as_likely():
    keys = jax.random.split(KEY, 4000)
    pairs = np.asarray(pairs_of(jnp.full(4000, 2, jnp.int32), keys, 5))
    counts = np.bincount(pairs[:, 1], minlength=5)
    assert counts[2] == 0
    assert abs(counts[[0, 1, 3, 4]] - 1000).max() < 120


def test_random_logit_needs_classes():
    probe, images, _, _ = case()
    with pytest.raises(TypeError, match="of classes"):
        metrics.random_logit(probe, images, lambda output: output[0], method="gradcam", key=KEY)
    single = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2, 3))[:, None]))
    with pytest.raises(ValueError, match="at least two classes"):
        metrics.random_logit(single, images, 0, method="gradcam", key=KEY)


def test_max_sensitivity(x64):
    probe, images, targets, _ = case(np.float64)
    explain = functools.partial(jaxcam.explain, probe, targets=targets, method="hirescam", raw=True)
    start = np.asarray(explain(images))
    ratios = []
    for draw in range(5):
        keys = [jax.random.fold_in(jax.random.fold_in(KEY, i), draw) for i in range(3)]
        noise = [
            jax.random.uniform(key, x.shape, x.dtype, -1, 1) for key, x in zip(keys, images, strict=True)
        ]
        moved = np.asarray(explain(images + 0.3 * np.stack(noise)))
        ratios.append(
            np.linalg.norm((moved - start).reshape(3, -1), axis=1)
            / np.linalg.norm(start.reshape(3, -1), axis=1)
        )
    options = {"method": "hirescam", "key": KEY, "draws": 5, "radius": 0.3}
    for chunk in (None, 2):
        found = metrics.max_sensitivity(probe, images, targets, chunk=chunk, **options)
        np.testing.assert_allclose(found, np.max(ratios, axis=0), atol=1e-10)


def constant(probe, image, target=None, *, chunk=None):
    """A method with masks, as its `chunk` says, whose map is always the same."""
    return jnp.ones((2,) * (image.ndim - 1), image.dtype)


@pytest.mark.parametrize("rank", [1, 3])
def test_maps_that_never_change(rank):
    probe, images = net(rank), batch(rank)
    found = metrics.max_sensitivity(probe, images, None, method=constant, key=KEY, draws=3)
    np.testing.assert_array_equal(found, 0)
    found = metrics.max_sensitivity(probe, images, None, method="gradcam", key=KEY, draws=2, radius=0)
    np.testing.assert_array_equal(found, 0)
    found = metrics.random_logit(probe, images, None, method="gradcam", key=KEY)
    assert found.shape == (2,)
    assert (np.abs(found) <= 1).all()


@pytest.mark.parametrize(("option", "value"), [("draws", 0), ("radius", -1), ("radius", np.inf)])
def test_mistakes(option, value):
    probe, images, _, _ = case()
    with pytest.raises(ValueError, match=f"{option} .* got {value}"):
        metrics.max_sensitivity(probe, images, 0, method="gradcam", key=KEY, **{option: value})


def test_arcc_is_the_harmonic_mean_of_its_parts():
    probe, images, targets, _ = case()
    maps = jaxcam.explain(probe, images, targets, method="gradcam")
    roads = {"key": KEY, "percentiles": (30, 70)}
    coherent = metrics.coherency(probe, images, targets, maps, method="gradcam")
    simple = 1 - np.asarray(metrics.complexity(maps))
    road = np.clip(2 * np.asarray(metrics.road(probe, images, targets, maps, **roads)), 0, 1)
    assert (road > 0).any()
    expected = np.where(road > 0, stats.hmean(np.stack([coherent, simple, np.where(road > 0, road, 1)])), 0)
    found = metrics.arcc(probe, images, targets, maps, method="gradcam", **roads)
    np.testing.assert_allclose(found, expected, atol=1e-5)
