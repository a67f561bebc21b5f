"""Baselines at the input, against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import LAYER, Small, analytic, images

import jaxcam

IMAGE = images(1)[0]
BASELINES = (
    "saliency",
    "gradient_times_input",
    "integrated_gradients",
    "smoothgrad",
    "guided_backpropagation",
)


@pytest.fixture(scope="module")
def probe():
    return jaxcam.probe(Small(), jaxcam.INPUT)


@pytest.fixture(scope="module")
def both():
    return jaxcam.probe(Small(), (jaxcam.INPUT, LAYER))


@pytest.mark.parametrize("channels", ["max", "mean", "sum"])
def test_saliency_is_the_formula(channels, x64):
    probe, image, _, G = analytic()
    expected = {
        "max": np.abs(G[2]).max(axis=-1),
        "mean": np.abs(G[2]).mean(axis=-1),
        "sum": G[2].sum(axis=-1),
    }
    found = jaxcam.saliency(probe, image, 2, channels=channels)
    np.testing.assert_allclose(found, expected[channels], atol=1e-12)
    if channels == "max":
        np.testing.assert_array_equal(jaxcam.saliency(probe, image, 2), found)


def test_gradient_times_input_is_the_formula(x64):
    probe, image, A, G = analytic()
    expected = (A * G[1]).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.gradient_times_input(probe, image, 1), expected, atol=1e-12)


def test_integrated_gradients_add_up(x64):
    """For a score of degree 2 the points of Gauss and Legendre are exact."""
    probe, image, *_ = analytic()
    total = jnp.sum(jaxcam.integrated_gradients(probe, image, 3))
    np.testing.assert_allclose(total, probe(image)[0][3] - probe(0 * image)[0][3], rtol=1e-12)


def test_smoothgrad_averages_the_size_of_the_gradient(probe):
    keys = jax.random.split(jax.random.key(0), 25)
    noise = jax.vmap(lambda key: jax.random.normal(key, IMAGE.shape))(keys)
    noisy = IMAGE[None] + 0.15 * (IMAGE.max() - IMAGE.min()) * noise
    each = jax.jit(jax.vmap(lambda x: probe.look(x, 2).gradient))(noisy)
    found = jax.jit(jaxcam.smoothgrad)(probe, IMAGE, 2)
    np.testing.assert_allclose(found, np.abs(each).max(axis=-1).mean(axis=0), rtol=1e-4, atol=1e-7)


def test_guided_gradcam_is_the_product(both):
    found = jax.jit(jaxcam.guided_gradcam)(both, IMAGE, 2)
    look = jax.jit(lambda probe: jaxcam.guided(probe[jaxcam.INPUT]).look(IMAGE, 2))
    fine = look(both).gradient.sum(axis=-1)
    coarse = jaxcam.resize(jax.nn.relu(jax.jit(jaxcam.gradcam)(both[LAYER], IMAGE, 2)), IMAGE.shape[:2])
    assert abs(found).max() > 0
    np.testing.assert_allclose(found, coarse * fine, rtol=1e-4, atol=1e-7)
    likely = int(jnp.argmax(both(IMAGE)[0]))
    method = jax.jit(jaxcam.guided_gradcam)
    np.testing.assert_allclose(method(both, IMAGE), method(both, IMAGE, likely), atol=1e-8)


def test_guided_gradcam_of_one_layer_and_of_three():
    deep = jaxcam.probe(Small("deep"), ("stem", LAYER, "tail"))
    one = deep["stem"]
    expected = jax.nn.relu(jaxcam.gradcam(one, IMAGE, 2)) * jaxcam.guided(one).look(IMAGE, 2).gradient.sum(-1)
    np.testing.assert_allclose(jaxcam.guided_gradcam(one, IMAGE, 2), expected, atol=1e-7)
    with pytest.raises(ValueError, match="takes a probe of two layers"):
        jaxcam.guided_gradcam(deep, IMAGE, 2)


@pytest.mark.parametrize("name", BASELINES)
def test_displayed_maps_have_the_size_of_the_image(name, probe):
    shapes = jax.eval_shape(
        functools.partial(jaxcam.explain, method=name), probe, images(2), jnp.array([1, 2])
    )
    assert shapes.shape == (2, 12, 14)


@pytest.mark.parametrize("name", ["saliency", "smoothgrad", "guided_backpropagation", "guided_gradcam"])
def test_unknown_channels(name, probe):
    with pytest.raises(ValueError, match="channels 'men'; did you mean 'mean'"):
        jax.eval_shape(functools.partial(jaxcam.METHODS[name], channels="men"), probe, IMAGE, 1)


def test_their_names():
    assert repr(jaxcam.smoothgrad) == "smoothgrad"
    assert repr(jaxcam.integrated_gradients) == "integrated_gradients"
    assert "Smilkov" in jaxcam.smoothgrad.__doc__
