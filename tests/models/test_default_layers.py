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
from jaxcam.models._registry import TABLE


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


@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith(("vit", "swin", "maxvit"))])
def test_default_layer_of_a_transformer(name):
    """Of a vision transformer's last block the class token alone is read: beyond its first norm patches have no
    gradient. `test_tokens.py` looks at maps of small members of these families at these layers."""
    options = TABLE[name].options
    layers = {
        "vit": f"encoder.layers.encoder_layer_{options.get('depth', 0) - 1}.ln_1",
        "swin": "norm",
        "maxvit": f"blocks.{len(options.get('depths', ())) - 1}",
    }
    assert models.default_layer(name) == layers[name.split("_")[0]]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["vit_b_32", "swin_t"])
def test_gradients_reach_the_default_layer_of_a_transformer(name):
    """Narrow, but as deep as the real ones, so that the default layer is where it is in those."""
    narrow = {
        "vit_b_32": {"image_size": 16, "patch": 8, "width": 8, "heads": 2, "hidden": 8},
        "swin_t": {"width": 8, "heads": (1, 1, 2, 2), "window": 2},
    }
    options = {**TABLE[name].options, **narrow[name]}
    kinds = {"dtype": jnp.float32, "param_dtype": jnp.float32}
    model = nnx.eval_shape(lambda: TABLE[name].model(num_classes=5, rngs=nnx.Rngs(0), **kinds, **options))
    model = converters.from_torch(model, synthetic.weights(synthetic.shapes(model)))
    side = options.get("image_size", 64)
    probe = jaxcam.probe(model, models.default_layer(name))
    raw = jaxcam.explain(probe, jnp.asarray(synthetic.image(side, side)), 3, raw=True)
    assert np.ptp(raw) > 1e-3 * np.abs(raw).max() > 0
