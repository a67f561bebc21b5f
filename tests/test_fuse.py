import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcam
from jaxcam import _fuse


def reference(evidence):
    X = evidence.reshape(-1, evidence.shape[-1]).astype(np.float64)
    X = X - X.mean(axis=0)
    projection = X @ np.linalg.svd(X, full_matrices=False)[2][0]
    if projection @ X.sum(axis=1) < 0:
        projection = -projection
    return projection.reshape(evidence.shape[:2])


@pytest.mark.parametrize("shape", [(5, 6, 40), (9, 8, 7), (4, 4, 16), (3, 1, 5), (1, 1, 4)])
def test_principal_component_equals_the_svd(shape, x64):
    evidence = np.random.default_rng(1).normal(size=shape)
    np.testing.assert_allclose(
        jaxcam.principal_component(jnp.asarray(evidence)), reference(evidence), atol=1e-10
    )


@pytest.mark.parametrize("shape", [(5, 6, 40), (9, 8, 7)])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_principal_component_in_float32_at_any_scale(shape, scale):
    evidence = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    result = jaxcam.principal_component(jnp.asarray(evidence * np.float32(scale)))
    np.testing.assert_allclose(result / np.float32(scale), reference(evidence), atol=2e-5)


def test_principal_component_sign_does_not_depend_on_the_order_of_channels():
    evidence = np.random.default_rng(2).normal(size=(4, 5, 6)).astype(np.float32)
    turned = evidence[..., ::-1].copy()
    np.testing.assert_allclose(
        jaxcam.principal_component(evidence), jaxcam.principal_component(turned), atol=1e-5
    )


def test_principal_component_of_nothing_is_nothing():
    for evidence in (np.zeros((4, 5, 6), np.float32), np.full((4, 5, 6), 3, np.float32)):
        np.testing.assert_array_equal(jaxcam.principal_component(evidence), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_principal_component_of_what_is_not_finite_is_nan(bad):
    broken = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    broken[0, 0, 0] = bad
    assert np.isnan(jaxcam.principal_component(broken)).all()


@pytest.mark.parametrize("gap", [0.5, 0.1, 1e-3, 1e-5])
def test_top_eigenvector_of_hard_spectra(gap):
    """As accurate as its condition, eps / gap, and more accurate than LAPACK's in float32."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(49, 49)))[0]
    values = np.concatenate([[1, 1 - gap], (1 - gap) * np.linspace(1 - 1e-3, 0.01, 47)])
    gram = ((turn * values) @ turn.T).astype(np.float32)
    gram = (gram + gram.T) / 2
    expected = np.linalg.eigh(gram.astype(np.float64))[1][:, -1]
    value, vector = _fuse.top_eigenpair(jnp.asarray(gram))
    error = np.linalg.norm(vector - expected * np.sign(expected @ vector))
    assert error <= 2e-6 + np.finfo(np.float32).eps / gap
    np.testing.assert_allclose(value, 1, atol=2e-6)


def test_principal_component_gradient_of_equal_eigenvalues_is_finite():
    evidence = np.zeros((2, 2, 3), np.float32)
    evidence[0, 0, 0], evidence[0, 1, 0], evidence[1, 0, 1], evidence[1, 1, 1] = 1, -1, 1, -1
    slope = jax.grad(lambda e: jnp.sum(jaxcam.principal_component(e)[0]))(jnp.asarray(evidence))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() < 100


@pytest.mark.parametrize("shape", [(3, 4, 20), (6, 5, 4)])
def test_principal_component_gradient_equals_finite_differences(shape, x64):
    rng = np.random.default_rng(3)
    evidence, weight, direction = (jnp.asarray(rng.normal(size=shape)) for _ in range(3))
    value = lambda e: jnp.sum(weight[..., 0] * jaxcam.principal_component(e))  # noqa: E731
    slope = jnp.vdot(jax.grad(value)(evidence), direction)
    step = 1e-6
    expected = (value(evidence + step * direction) - value(evidence - step * direction)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_principal_component_gradient_of_a_dead_layer_is_finite():
    slope = jax.grad(lambda e: jnp.sum(jaxcam.principal_component(e)))(jnp.zeros((3, 4, 5)))
    assert np.isfinite(slope).all()


def test_channel_sum():
    evidence = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(jaxcam.channel_sum(evidence), evidence.sum(axis=-1))
