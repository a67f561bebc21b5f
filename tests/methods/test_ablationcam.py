"""Ablation-CAM where the head is linear in the activation: found in the program, and equal to the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small

import jaxcam
from jaxcam.methods import _ablationcam
from jaxcam.probes._linear import affine

A = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
KERNEL = np.random.default_rng(2).normal(size=(3, 3, 6, 2)).astype(np.float32)


@jax.custom_jvp
def straight_through(x):
    return 2 * x


straight_through.defjvp(lambda primals, tangents: (2 * primals[0], tangents[0]))


def pooled(a):
    return jnp.mean(a, axis=(0, 1)) @ W


AFFINE = {
    "pooled": lambda a: pooled(a)[1],
    "flattened, with a bias": lambda a: a.reshape(-1)[::7].sum() - 3,
    "compiled and rematerialised": lambda a: jax.jit(jax.checkpoint(pooled))(a)[0],
    "convolved": lambda a: jnp.sum(
        jax.lax.conv_general_dilated(
            a[None], KERNEL, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    ),
    "of a class that is only known when it runs": lambda a: pooled(a)[jnp.argmax(jnp.asarray(W[0]))],
    "a difference of parts": lambda a: (
        jnp.concatenate([a[:2] * 3, -a[2:] / 2]).sum() - jnp.flip(a, 0)[0, 1, 2]
    ),
    "where a constant says so": lambda a: jnp.where(A > 0, a, 2.0).sum(),
    "in another precision": lambda a: pooled(a.astype(jnp.bfloat16).astype(jnp.float32))[0],
    "of a constant": lambda a: jnp.float32(3) + jnp.tanh(jnp.asarray(A)).sum(),
}
OTHERWISE = {
    "a ReLU": lambda a: jax.nn.relu(pooled(a))[0],
    "the largest": lambda a: jnp.max(pooled(a)),
    "a softmax": lambda a: jax.nn.softmax(pooled(a))[0],
    "a product": lambda a: (a * a).sum(),
    "a quotient": lambda a: 1 / pooled(a)[0],
    "a matrix product with itself": lambda a: (a[0] @ a[1].T).sum(),
    "where the activation says so": lambda a: jnp.where(a > 0, 1.0, 0.0).sum(),
    "rounded": lambda a: a.astype(jnp.int32).astype(jnp.float32).sum(),
    "without its derivative": lambda a: jax.lax.stop_gradient(a).sum(),
    "with another derivative": lambda a: straight_through(a).sum(),
    "a place that it tells": lambda a: jnp.arange(30.0)[jnp.argmax(pooled(a))],
}


@pytest.mark.parametrize("name", [*AFFINE, *OTHERWISE])
def test_what_is_linear_is_found(name):
    assert affine(jax.make_jaxpr((AFFINE | OTHERWISE)[name])(A)) is (name in AFFINE)


@pytest.mark.parametrize(("head", "linear"), [("pool", True), ("flatten", True), ("deep", False)])
def test_one_backward_pass_equals_the_loop(head, linear, monkeypatch):
    probe, image = small(head), images(1)[0]
    asked = []
    monkeypatch.setattr(_ablationcam, "affine", lambda program: asked.append(affine(program)) or asked[-1])
    found = jax.jit(jaxcam.ablationcam)(probe, image, 3)
    monkeypatch.setattr(_ablationcam, "affine", lambda program: False)
    looped = jax.jit(lambda *given: jaxcam.ablationcam(*given))(probe, image, 3)
    np.testing.assert_allclose(found, looped, rtol=2e-5, atol=2e-5 * float(jnp.abs(looped).max()))
    assert asked == [linear]


def test_a_target_that_is_not_linear_is_ablated(monkeypatch):
    monkeypatch.setattr(_ablationcam, "_by_gradient", None)
    raw = jaxcam.ablationcam(small(), images(1)[0], jaxcam.probability(2))
    assert np.ptp(raw) > 0
    with pytest.raises(TypeError):
        jaxcam.ablationcam(small(), images(1)[0], jaxcam.difference(2, 1))
