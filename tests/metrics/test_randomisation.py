import functools

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from metric_cases import case
from nets import attentive, small
from ranks import net
from scipy import stats

import jaxcam
from jaxcam import _explain, demo, metrics
from jaxcam.metrics._correlation import places, spearman
from jaxcam.metrics._parameters import layers_of

KEY = jax.random.key(0)
PICTURE = jax.ShapeDtypeStruct((12, 14, 3), jnp.float32)
ORDER = ["stem.conv", "stem.norm", "blocks.0.conv", "blocks.0.norm", "fc"]


def test_spearman_is_scipys(x64):
    rng = np.random.default_rng(0)
    a, b = jnp.asarray(rng.normal(size=(2, 8, 9)).round(1))  # with ties
    np.testing.assert_array_equal(places(a), stats.rankdata(a) - 1)
    np.testing.assert_allclose(spearman(a, b), stats.spearmanr(a.ravel(), b.ravel())[0], atol=1e-12)
    assert spearman(a, jnp.exp(a)) == pytest.approx(1)
    assert spearman(a, jnp.ones_like(a)) == 0
    assert np.isnan(spearman(a, jnp.where(b > 1, jnp.nan, b)))


def test_layers_stand_as_the_program_uses_them():
    assert list(layers_of(small(), PICTURE)) == ORDER
    transformer = [
        "patches",
        "token",
        "places",
        "blocks.0.qkv",
        "blocks.0.out",
        "blocks.1.qkv",
        "blocks.1.out",
        "fc",
    ]
    assert list(layers_of(attentive(), PICTURE)) == transformer
    volumes = jax.ShapeDtypeStruct((8, 6, 10, 2), jnp.float32)
    assert list(layers_of(net(3), volumes)) == ["conv", "fc"]


class Norms(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.BatchNorm(use_running_average=True, name="norm")(linen.Conv(4, (3, 3), name="conv")(x))
        return linen.Dense(3, name="classes")(x.mean((1, 2)))


@pytest.mark.filterwarnings("ignore")
def test_layers_of_other_models():
    # A norm's statistics belong to it, and what a function is given by name are layers of their own.
    with jax.numpy_rank_promotion("allow"):
        variables = jax.eval_shape(Norms().init, KEY, jnp.ones((1, 12, 14, 3)))
        variables = jax.tree.map(lambda each: np.ones(each.shape, each.dtype), variables)
        layers = layers_of(jaxcam.probe(Norms(), "conv", variables=variables), PICTURE)
    assert {name: len(numbers) for name, numbers in layers.items()} == {"conv": 2, "norm": 4, "classes": 2}

    def stack(weights, x):
        x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), jaxcam.tap(x, "first"), weights["stack"])
        return jnp.mean(x, (1, 2)) @ weights["head"]

    weights = {
        "head": np.ones((3, 2), np.float32),
        "other": np.ones(4, np.float32),
        "stack": np.ones((5, 3, 3), np.float32),
    }
    assert list(layers_of(jaxcam.probe(stack, "first", variables=weights), PICTURE)) == ["stack", "head"]
    parts = (
        Partial(lambda w, x: jnp.tanh(x @ w), weights["stack"][0]),
        Partial(lambda w, x: jnp.mean(x, (1, 2)) @ w, weights["head"]),
    )
    assert [name.split(".")[0] for name in layers_of(jaxcam.probe(split=parts), PICTURE)] == [
        "features",
        "head",
    ]


def test_stages_lose_one_layer_after_another():
    probe, images, _, _ = case()
    before = probe.parameters
    (before,) = jax.tree.leaves(before, is_leaf=lambda node: isinstance(node, dict))
    names = []
    for name, stage in metrics.randomised(probe, images, key=KEY):
        names.append(name)
        (now,) = jax.tree.leaves(stage.parameters, is_leaf=lambda node: isinstance(node, dict))
        for path, values in now.items():
            module = path.rpartition("/")[0].replace("/", ".")
            assert np.isin(values, before[path]).all()
            changed = np.any(np.asarray(values) != np.asarray(before[path]))
            constant = np.ptp(np.asarray(before[path])) == 0  # such as a bias that was never trained
            assert changed == (module in names and not constant), path
    assert names == ORDER[::-1]
    # Two layers of equal values are drawn differently, another key draws others.
    equal = {
        "a": np.arange(900, dtype=np.float32).reshape(3, 300),
        "b": np.arange(900, dtype=np.float32).reshape(300, 3),
    }

    def model(weights, x):
        return jnp.mean(jaxcam.tap(x, "first") @ weights["a"], (1, 2)) @ weights["b"]

    given = jaxcam.probe(model, "first", variables=equal)
    (*_, (_, one)), (*_, (_, other)) = (
        metrics.randomised(given, images, key=jax.random.key(n)) for n in (0, 1)
    )
    a, b, c = (np.ravel(jax.tree.leaves(each.parameters)[n]) for each, n in ((one, 0), (one, 1), (other, 0)))
    assert not (a == b).mean() > 0.1
    assert not (a == c).mean() > 0.1
    assert 500 < len(np.unique(a)) < 640  # of 900, 1 - 1/e are drawn at least once


def test_equals_a_loop_over_stages(x64):
    probe, images, targets, _ = case(np.float64)
    found, names = metrics.parameter_randomisation(probe, images, targets, method="hirescam", key=KEY)
    programs = _explain._explain._cache_size()
    explain = functools.partial(jaxcam.explain, targets=targets, method="hirescam", raw=True)
    stages = list(metrics.randomised(probe, images, key=KEY))
    maps = [np.abs(explain(each, images)) for each in [probe, *(stage for _, stage in stages)]]
    expected = [
        [stats.spearmanr(*map(np.ravel, pair))[0] for pair in zip(maps[0], each, strict=True)]
        for each in maps[1:]
    ]
    assert names == tuple(name for name, _ in stages)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert _explain._explain._cache_size() == programs  # all stages are one program

    def entropy(raw):
        return stats.entropy(np.histogram(raw, bins=100)[0])

    raw = [np.asarray(explain(each, images)) for each in (probe, stages[-1][1])]
    first, last = (np.array([entropy(each) for each in maps]) for maps in raw)
    rise = metrics.efficient_parameter_randomisation(probe, images, targets, method="hirescam", key=KEY)
    np.testing.assert_allclose(rise, (last - first) / first, atol=1e-10)


def edges(probe, image, target=None):
    """A map that shows the picture and nothing of the model."""
    return sum(jnp.mean(jnp.abs(each), axis=-1) for each in jnp.gradient(image, axis=(0, 1)))


def nothing(probe, image, target=None):
    return jnp.zeros(image.shape[:-1], image.dtype)


def test_maps_of_the_picture_alone_do_not_change():
    probe, images, _, _ = case()
    found, _ = metrics.parameter_randomisation(probe, images, None, method=edges, key=KEY)
    np.testing.assert_allclose(found, 1, atol=1e-5)
    rise = metrics.efficient_parameter_randomisation(probe, images, None, method=edges, key=KEY)
    np.testing.assert_array_equal(rise, 0)
    rise = metrics.efficient_parameter_randomisation(probe, images, None, method=nothing, key=KEY)
    np.testing.assert_array_equal(rise, 0)


def test_a_model_without_parameters():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2))))
    with pytest.raises(ValueError, match="no parameters that its output depends on"):
        metrics.randomised(probe, case()[1], key=KEY)


def test_maps_of_a_trained_network_change():
    """They are others once nothing is left of what the network has learned."""
    images = demo.prepare(demo.scenes(4, seed=0).images)
    probe = jaxcam.probe(demo.load(), demo.LAYER)
    for method in ("gradcam", "hirescam"):
        found, names = metrics.parameter_randomisation(probe, images, None, method=method, key=KEY)
        assert found.shape == (len(names), 4)
        assert np.mean(found[-1]) < 0.5
