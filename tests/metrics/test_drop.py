import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from metric_cases import case

import jaxcam
from jaxcam import metrics


def test_equal_the_formulas(x64):
    probe, images, targets, maps = case(np.float64)
    maps[1] = np.maximum(maps[1], 0.9)
    everything = [
        (oracle.probability, x, x * L[..., None], c) for x, L, c in zip(images, maps, targets, strict=True)
    ]
    Y = np.array([p(probe, x, c) for p, x, _, c in everything])
    O = np.array([p(probe, seen, c) for p, _, seen, c in everything])
    assert (O < Y).any()
    assert (O > Y).any()
    for name, expected in {
        "average_drop": 100 * np.maximum(0, Y - O) / Y,
        "average_increase": 100 * (O > Y),
        "average_gain": 100 * np.maximum(0, O - Y) / (1 - Y),
    }.items():
        values = getattr(metrics, name)(probe, images, targets, maps)
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected, atol=1e-10)


def test_a_map_of_ones_loses_and_gains_nothing():
    probe, images, targets, _ = case()
    for name in ("average_drop", "average_increase", "average_gain"):
        values = getattr(metrics, name)(probe, images, targets, metrics.uniform_maps(3, images.shape[1:3]))
        np.testing.assert_array_equal(values, 0)


def test_drop_and_increase_exclude_each_other_and_agree_with_gain():
    probe, images, _, _ = case()
    rng = np.random.default_rng(1)
    images, maps = (np.repeat(each, 20, axis=0) for each in (images, np.zeros((3, 12, 14), np.float32)))
    maps = rng.uniform(size=maps.shape).astype(np.float32)
    drop, increase, gain = (
        np.asarray(getattr(metrics, f"average_{name}")(probe, images, 2, maps))
        for name in ("drop", "increase", "gain")
    )
    assert (drop > 0).any()
    assert (increase > 0).any()
    assert not ((drop > 0) & (increase > 0)).any()
    np.testing.assert_array_equal(gain > 0, increase == 100)
    assert drop.min() >= 0
    assert drop.max() <= 100


@pytest.mark.parametrize(("logit", "value"), [(-1e4, 0), (1e4, 1)])
def test_a_probability_of_0_or_1_is_not_a_nan(logit, value):
    def head(a):
        return jnp.stack([logit * (1 + jnp.mean(a)), jnp.zeros(())])[None]

    probe = jaxcam.probe(split=(lambda x: x, head))
    images = np.ones((2, 4, 4, 3), np.float32)
    maps = np.stack([np.zeros((4, 4)), np.full((4, 4), 0.5)]).astype(np.float32)
    results = metrics.evaluate(
        probe, images, 0, maps, metrics=["average_drop", "average_increase", "average_gain"]
    )
    assert oracle.probability(probe, images[0], 0) == value
    for values in results.values():
        np.testing.assert_array_equal(values, 0)


def test_none_is_the_most_likely_class_of_the_whole_image():
    probe, images, _, maps = case()
    best = np.array([int(np.argmax(probe(x)[0])) for x in images])
    np.testing.assert_array_equal(
        metrics.average_drop(probe, images, None, maps), metrics.average_drop(probe, images, best, maps)
    )
    np.testing.assert_array_equal(
        metrics.average_drop(probe, images, 1, maps), metrics.average_drop(probe, images, [1, 1, 1], maps)
    )


def test_half_precision_images():
    probe, images, targets, maps = case()
    exact = metrics.average_drop(probe, images, targets, maps)
    rounded = metrics.average_drop(
        jaxcam.probe(split=(lambda x: x.astype(jnp.float32), lambda a: probe(a[0])[0][None])),
        jnp.asarray(images, jnp.bfloat16),
        targets,
        maps,
    )
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, atol=2)
