"""A map at the default layer explains the logit: nothing but a mean and a linear layer lies behind it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic
from flax import nnx
from selection import exhaustive

import converters
import jaxcam
from jaxcam import models


@pytest.mark.parametrize(
    ("name", "size"),
    exhaustive(
        [
            ("googlenet", (65, 71)),
            ("inception_v3", (107, 111)),
            ("densenet121", (65, 71)),
            ("mnasnet0_5", (65, 71)),
            ("shufflenet_v2_x0_5", (65, 71)),
            ("cifar_resnet20", (12, 9)),
        ],
        lambda case: case[0] not in ("shufflenet_v2_x0_5", "cifar_resnet20"),
    ),
)
def test_grad_cam_adds_up_to_the_logit(name, size, exact):
    """To the logit less the bias; a ReLU behind the layer would hide a part of what the map shows."""
    model = nnx.eval_shape(lambda: models.build(name, num_classes=7))
    model = converters.from_torch(model, synthetic.weights(synthetic.shapes(model)))

    @jax.jit
    def look(probe, image):
        bias, _ = probe(image, jnp.zeros_like)
        return probe.look(image, 3), bias[3]

    seen, bias = look(jaxcam.probe(model, models.default_layer(name)), jnp.asarray(synthetic.image(*size)[0]))
    grad_cam = np.asarray(seen.activation @ seen.gradient.mean((0, 1)))
    assert min(grad_cam.shape) > 1
    assert np.isfinite(grad_cam).all()
    assert grad_cam.std() > 0.01 * np.abs(grad_cam).max()
    np.testing.assert_allclose(grad_cam.sum(), seen.score - bias, rtol=1e-4, atol=1e-5)
    assert seen.activation.min() == 0
