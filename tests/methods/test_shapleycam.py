"""Shapley-CAM against its formula in float64, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import analytic, images, small

import jaxcam


@pytest.mark.parametrize("target", [0, 3])
def test_equals_the_formula(target, x64):
    probe, image, A, G = analytic()
    curved = G[target] - probe_gradient_at_zero(probe, image, target)  # U A, of a score of V A + ½ U A²
    each = G[target] - 0.5 * curved
    expected = (each.mean(axis=(0, 1)) * A).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.shapleycam(probe, image, target), expected, atol=1e-12)
    expected = np.maximum(each * A, 0).sum(axis=-1)
    found = jaxcam.shapleycam(probe, image, target, weights="positions")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def probe_gradient_at_zero(probe, image, target):
    return np.asarray(probe.look(jnp.zeros_like(image), target).gradient)


def test_it_adds_up_where_the_score_is_quadratic(x64):
    """The evidence of all positions is the score less that of no activation, by Taylor's formula."""
    probe, image, *_ = analytic()
    positive = jaxcam.shapleycam(probe, image, 1, weights="positions")
    negative = jaxcam.shapleycam(probe, image, jaxcam.negative(1), weights="positions")
    evidence = positive.sum() - negative.sum()
    np.testing.assert_allclose(evidence, probe(image)[0][1] - probe(jnp.zeros_like(image))[0][1], rtol=1e-12)


def test_of_a_logit_behind_a_linear_head_it_is_gradcam():
    probe, image = small(), images(1)[0]
    np.testing.assert_allclose(
        jaxcam.shapleycam(probe, image, 2), jaxcam.gradcam(probe, image, 2), rtol=1e-5, atol=1e-7
    )
    curved = jaxcam.shapleycam(probe, image, jaxcam.rest(2)) - jaxcam.gradcam(probe, image, jaxcam.rest(2))
    assert float(jnp.abs(curved).max()) > 1e-4


def test_only_the_head_is_differentiated():
    trunk = jnp.ones((50 * 50 * 3, 5 * 5 * 12))

    def features(x):
        return jnp.tanh(x.reshape(1, -1) @ trunk).reshape(1, 5, 5, 12)

    probe = jaxcam.probe(split=(features, lambda a: jnp.mean(a * a, axis=(1, 2))))
    image = jax.ShapeDtypeStruct((50, 50, 3), jnp.float32)
    forward, cost = (
        jax.jit(function).lower(probe, image).compile().cost_analysis()["flops"]
        for function in (lambda p, x: p(x)[0], lambda p, x: jaxcam.shapleycam(p, x, 0))
    )
    assert cost < 1.01 * forward


@pytest.mark.usefixtures("unchecked")
def test_mistakes():
    with pytest.raises(ValueError, match="no weights 'channel'; did you mean 'channels'"):
        jaxcam.shapleycam(small(), images(1)[0], 0, weights="channel")
