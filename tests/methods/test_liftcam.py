"""LIFT-CAM against Shapley values by brute force, and DeepLIFT's rules against NumPy."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small

import jaxcam
from jaxcam.probes._rescale import multipliers


def weights_of(probe, image, target, **options):
    """The channels' weights: the map of a fuse that picks one channel, over its activation."""
    A = np.asarray(probe(image)[1])
    w = []
    for k in range(A.shape[-1]):
        evidence = jaxcam.liftcam(probe, image, target, fuse=lambda each, k=k: each[..., k], **options)
        w.append(np.asarray(evidence).sum() / A[..., k].sum())
    return np.array(w), A


def test_weights_are_shapley_values_of_a_pooled_linear_head(x64):
    rng = np.random.default_rng(0)
    A, W = rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 3))
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)) @ jnp.asarray(W) + 1))
    w, _ = weights_of(probe, jnp.asarray(A), 2)

    def score(channels):
        return (A.mean(axis=(0, 1)) * np.isin(np.arange(5), channels)) @ W[:, 2] + 1

    shapley = np.zeros(5)
    for k in range(5):
        others = [each for each in range(5) if each != k]
        for size in range(5):
            share = math.factorial(size) * math.factorial(4 - size) / math.factorial(5)
            for chosen in itertools.combinations(others, size):
                shapley[k] += share * (score([*chosen, k]) - score(chosen))
    np.testing.assert_allclose(w, shapley, atol=1e-12)
    G = W[:, 2] / 12
    np.testing.assert_allclose(w, (G * A).sum(axis=(0, 1)), atol=1e-12)


def deep(a, rng):
    """A head with a ReLU between two linear layers, and its multipliers by DeepLIFT's formula."""
    first, second = rng.normal(size=(a.size, 6)), rng.normal(size=6)

    def multiply(reference):
        into, base = a.reshape(-1) @ first, reference.reshape(-1) @ first
        slope = (np.maximum(into, 0) - np.maximum(base, 0)) / (into - base)
        return (first @ (slope * second)).reshape(a.shape)

    def head(x):
        return jax.nn.relu(x.reshape(1, -1) @ jnp.asarray(first)) @ jnp.asarray(second)[:, None]

    return head, multiply


@pytest.mark.parametrize("baseline", [0, 0.5, np.random.default_rng(9).normal(size=(3, 4, 5))])
def test_relu_is_rescaled(baseline, x64):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(3, 4, 5))
    head, multiply = deep(A, rng)
    probe = jaxcam.probe(split=(lambda x: x, head))
    below = np.broadcast_to(baseline, A.shape)
    expected = ((multiply(below) * (A - below)).sum(axis=(0, 1)) * A).sum(axis=-1)
    given = baseline if np.ndim(baseline) == 0 else jnp.asarray(baseline)
    np.testing.assert_allclose(jaxcam.liftcam(probe, jnp.asarray(A), 0, baseline=given), expected, atol=1e-12)


def pooled(a):
    return jax.lax.reduce_window(a, -jnp.inf, jax.lax.max, (2, 2, 1), (1, 1, 1), "VALID")


CURVED = {
    "relu": jax.nn.relu,
    "relu by a maximum": lambda a: jnp.maximum(a, 0),
    "relu6": jax.nn.relu6,
    "leaky": jax.nn.leaky_relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "hard swish": jax.nn.hard_swish,
    "softplus": jax.nn.softplus,
    "written out": lambda a: a * jax.nn.sigmoid(a) * (a > 0.5).astype(a.dtype),
    "square": lambda a: a**2,
    "the largest of a pool": pooled,
    "the largest of all": lambda a: jnp.max(a, axis=(0, 1)),
    "a logit and its log-probability": lambda a: jaxcam.rest(1)(jnp.mean(a, axis=(0, 1))) + a[0, 0, 0],
    "compiled": jax.jit(lambda a: jnp.tanh(jnp.sum(jax.checkpoint(jax.nn.relu)(a), axis=-1))),
}


@pytest.mark.parametrize("name", CURVED)
def test_multipliers_add_up_to_the_difference(name, x64):
    rng = np.random.default_rng(2)
    at, reference = map(jnp.asarray, rng.normal(size=(2, 4, 5, 3)))
    reference = reference.at[0, 1].set(at[0, 1])  # where nothing changes there is nothing to divide by
    mix = jnp.asarray(rng.normal(size=(4, 5, 3)))

    def score(a):
        out = CURVED[name](a)
        return jnp.sum(out * (mix if out.shape == mix.shape else 0.5))

    m = multipliers(jax.make_jaxpr(score)(at), at, reference)
    np.testing.assert_allclose(jnp.sum(m * (at - reference)), score(at) - score(reference), rtol=1e-9)
    assert np.isfinite(m).all()
    if m.shape == CURVED[name](at).shape:  # elementwise
        apart = np.where(at == reference, 1, at - reference)
        slope = jax.grad(lambda a: CURVED[name](a).sum())(at)
        ratio = np.where(at == reference, slope, (CURVED[name](at) - CURVED[name](reference)) / apart)
        np.testing.assert_allclose(m, ratio * mix, rtol=1e-9)


def test_what_is_neither_linear_nor_of_one_array_keeps_its_derivative(x64):
    rng = np.random.default_rng(3)
    at, reference = map(jnp.asarray, rng.normal(size=(2, 4, 5)))

    def looped(a):
        return jax.lax.scan(lambda carry, row: (carry * row.sum(), None), jnp.ones(()), a)[0]

    for score in (
        lambda a: jnp.sum(a * jnp.roll(a, 1)),
        looped,
        lambda a: jnp.sum(a / (1 + jnp.flip(a) ** 2 * 0 + a[0, 0])),
    ):
        m = multipliers(jax.make_jaxpr(score)(at), at, reference)
        np.testing.assert_allclose(m, jax.grad(score)(at), rtol=1e-10)


def test_a_score_that_does_not_depend_on_the_layer():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.ones((1, 3)) + 0 * jnp.sum(jnp.zeros_like(a))))
    np.testing.assert_array_equal(jaxcam.liftcam(probe, jnp.ones((3, 4, 2)), 1), 0)


@pytest.mark.usefixtures("unchecked")
def test_mistakes():
    with pytest.raises(ValueError, match=r"like the activation \(6, 7, 12\); got shape \(5,\)"):
        jaxcam.liftcam(small(), images(1)[0], 0, baseline=np.zeros(5))
