"""Every method is a pure function of one image: vmap == loop, jit == eager, differentiable, lowers for TPU."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from nets import Small, images, small
from selection import CORE, exhaustive

import jaxcam
from jaxcam import METHODS

BATCH = images(3)
TARGETS = jnp.array([0, 3, 1])


@pytest.fixture(params=CORE)
def method(request):
    return METHODS[request.param]


def test_vmap_equals_loop(method):
    probe = small()
    mapped = jax.vmap(method, in_axes=(None, 0, 0))(probe, BATCH, TARGETS)
    looped = np.stack(
        [method(probe, image, int(target)) for image, target in zip(BATCH, TARGETS, strict=True)]
    )
    np.testing.assert_allclose(mapped, looped, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    "name", exhaustive(CORE, lambda name: name not in ("gradcam", "scorecam", "conceptorcam"))
)
def test_vmap_over_targets_equals_loop(name):
    method = METHODS[name]
    probe = small()
    mapped = jax.vmap(method, in_axes=(None, None, 0))(probe, BATCH[0], TARGETS)
    looped = np.stack([method(probe, BATCH[0], int(target)) for target in TARGETS])
    np.testing.assert_allclose(mapped, looped, rtol=2e-6, atol=2e-6)


def test_jit_equals_eager(method):
    probe = small()
    np.testing.assert_allclose(
        jax.jit(method)(probe, BATCH[0], 2), method(probe, BATCH[0], jnp.int32(2)), rtol=2e-6, atol=2e-6
    )


def test_survives_grad(method):
    probe = small()
    slopes = jax.grad(lambda p, x: jnp.sum(method(p, x, 1) ** 2), argnums=(0, 1))(probe, BATCH[0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowers_for(platform, method):
    probe = small()
    leaves, structure = jax.tree.flatten(probe)

    def program(leaves, images, targets):
        return jax.vmap(method, in_axes=(None, 0, 0))(jax.tree.unflatten(structure, leaves), images, targets)

    exported = jax.export.export(jax.jit(program), platforms=[platform])(leaves, BATCH, TARGETS)
    assert exported.platforms == (platform,)
    assert exported.out_avals[0].shape == (3, 6, 7)
    assert exported.out_avals[0].dtype == jnp.float32


def test_cam_needs_one_linear_layer_after_the_layer():
    with pytest.raises(ValueError, match=r"12 channels and the 5 classes; here .*tail/conv/bias"):
        jaxcam.cam(
            small("deep"), BATCH[0], 1
        )  # its classifier has the right shape, but another layer comes first
    with pytest.raises(ValueError, match=r"8 channels and the 5 classes"):
        jaxcam.cam(jaxcam.probe(Small(), "stem"), BATCH[0], 1)
    with pytest.raises(ValueError, match="here no parameter lies between"):
        jaxcam.cam(jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)))), BATCH[0], 1)
    with pytest.raises(ValueError, match=r"weights must be \(K, classes\) = \(12, 5\)"):
        jaxcam.cam(small("deep"), BATCH[0], 1, weights=jnp.ones((5, 12)))


def test_cam_reads_a_classifier_that_lies_transposed():
    keys = jax.random.split(jax.random.key(0), 2)
    mix, kernel = jax.random.normal(keys[0], (3, 8)), jax.random.normal(keys[1], (5, 8))

    def logits(weights, images):
        activation = jaxcam.tap(jax.nn.relu(images @ weights["mix"]), "last")
        return activation.mean((1, 2)) @ weights["kernel"].T

    probe = jaxcam.probe(logits, "last", variables={"mix": mix, "kernel": kernel})
    np.testing.assert_allclose(
        jaxcam.cam(probe, BATCH[0], 2), jaxcam.cam(probe, BATCH[0], 2, weights=kernel.T), rtol=1e-6
    )
