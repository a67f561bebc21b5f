"""What is proven of HiResCAM, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from nets import LAYER, Small, images
from selection import CORE

import jaxcam

pytestmark = pytest.mark.usefixtures("x64")
IMAGES = images(4, dtype=np.float64)


METHODS = {name: jax.jit(jaxcam.METHODS[name]) for name in CORE}


def double(head):
    return jaxcam.probe(Small(head, dtype=jnp.float64), LAYER)


@pytest.mark.parametrize("target", [0, 2, 4])
def test_pooled_linear_head_gives_gradcam_and_cam(target):
    probe = double("pool")
    for image in IMAGES:
        raw = METHODS["hirescam"](probe, image, target)
        np.testing.assert_allclose(raw, METHODS["gradcam"](probe, image, target), atol=1e-12)
        np.testing.assert_allclose(
            raw, METHODS["xgradcam"](probe, image, target), atol=1e-6
        )  # its 1e-7 aside
        np.testing.assert_allclose(raw, METHODS["cam"](probe, image, target) / raw.size, atol=1e-12)


@pytest.mark.parametrize("head", ["pool", "flatten"])
def test_one_linear_layer_after_the_map_is_complete(head):
    probe = double(head)
    bias = probe.parameters["fc/bias"]
    for target in range(5):
        for image in IMAGES:
            score = probe(image)[0][target]
            total = jnp.sum(METHODS["hirescam"](probe, image, target))
            np.testing.assert_allclose(total, score - bias[target], atol=1e-10)


def test_gradcam_is_not_complete_without_pooling():
    probe = double("flatten")
    score = probe(IMAGES[0])[0][1] - probe.parameters["fc/bias"][1]
    assert abs(float(jnp.sum(METHODS["gradcam"](probe, IMAGES[0], 1)) - score)) > 1e-3


def test_piecewise_linear_tail_without_bias_is_complete():
    probe = double("deep")
    silent = {
        name: jnp.zeros_like(leaf)
        if name.split("/")[0] in ("tail", "fc") and name.endswith(("bias", "mean"))
        else leaf
        for name, leaf in probe.parameters.items()
    }
    probe = jax.tree.unflatten(jax.tree.structure(probe), jax.tree.leaves(silent))
    for image in IMAGES:
        total = jnp.sum(jaxcam.hirescam(probe, image, 3))
        np.testing.assert_allclose(total, probe(image)[0][3], atol=1e-10)


def test_a_probability_is_not_complete():
    probe = double("flatten")
    target = jaxcam.probability(2)
    total = jnp.sum(jaxcam.hirescam(probe, IMAGES[0], target))
    assert abs(float(total - target(probe(IMAGES[0])[0]))) > 1e-3


def test_linear_in_the_score():
    probe, image = double("deep"), IMAGES[0]
    one, other = jaxcam.hirescam(probe, image, 1), jaxcam.hirescam(probe, image, 3)
    both = jaxcam.hirescam(probe, image, lambda logits: logits[1] + logits[3])
    np.testing.assert_allclose(both, one + other, atol=1e-12)
    np.testing.assert_allclose(jaxcam.hirescam(probe, image, lambda logits: -logits[1]), -one, atol=1e-12)


def test_position_without_activation_or_gradient_is_exactly_zero():
    rng = np.random.default_rng(0)
    A, V = rng.normal(size=(2, 4, 5, 6))
    A[1, 2] = 0
    V[3, 0] = 0
    probe = jaxcam.probe(
        split=(lambda x: x, lambda a: jnp.sum(a * jnp.asarray(V)[None], axis=(1, 2, 3))[:, None])
    )
    raw = jaxcam.hirescam(probe, jnp.asarray(A), 0)
    assert raw[1, 2] == 0
    assert raw[3, 0] == 0
    assert np.count_nonzero(raw) == raw.size - 2


def test_at_the_input_it_is_gradient_times_input():
    model = Small("deep", dtype=jnp.float64)
    probe = jaxcam.probe(split=(lambda x: x, model))
    slope = jax.grad(lambda x: model(x[None])[0, 2])(jnp.asarray(IMAGES[0]))
    np.testing.assert_allclose(
        jaxcam.hirescam(probe, IMAGES[0], 2), jnp.sum(slope * IMAGES[0], axis=-1), atol=1e-12
    )


def test_one_block_earlier_it_is_not_gradcam():
    probe = double("deep")
    hires, grad = (method(probe, IMAGES[0], 1) for method in (jaxcam.hirescam, jaxcam.gradcam))
    assert np.abs(hires - grad).max() > 1e-3


def test_residual_network_at_its_last_block_equals_gradcam():
    class Residual(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(
                3, 3, (3, 3), padding=1, rngs=rngs, dtype=jnp.float64, param_dtype=jnp.float64
            )
            self.fc = nnx.Linear(3, 4, rngs=rngs, dtype=jnp.float64, param_dtype=jnp.float64)

        def block(self, x):
            return x + jax.nn.relu(self.conv(x))

        def __call__(self, x):
            return self.fc(jnp.mean(self.block(x), axis=(1, 2)))

    model = Residual()
    whole = jaxcam.probe(split=(model.block, lambda a: model.fc(jnp.mean(a, axis=(1, 2)))))
    np.testing.assert_allclose(
        jaxcam.hirescam(whole, IMAGES[0], 1), METHODS["gradcam"](whole, IMAGES[0], 1), atol=1e-12
    )
