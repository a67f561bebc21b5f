"""Logits and gradients equal torch's; `from_torch` asks on the way that all names and shapes do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import synthetic
import tiny
from flax import nnx

import converters
from converters._fit import shapes
from jaxcam import models

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("exact")]

CLASSES = 50

# Odd and unequal sides tell paddings, ceil modes and adaptive pools apart. Models not named here are the same
# code, deeper or wider, and get few pixels.
SIZES = {
    "alexnet": [(224, 224), (225, 193), (64, 64)],
    "vgg11": [(225, 193)],
    "resnet18": [(224, 224), (65, 97)],
    "squeezenet1_0": [(97, 129)],
    "squeezenet1_1": [(224, 224), (225, 193), (66, 64)],
    "mobilenet_v2": [(224, 224), (33, 47)],
    "vit_b_32": [(224, 224)],
    "swin_t": [(224, 224), (65, 71)],
    "swin_v2_t": [(256, 256), (65, 71)],
    "maxvit_t": [(224, 224)],
    "cifar_resnet20": [(32, 32), (31, 27)],
    "cifar_resnet1202": [],  # 1202 layers take 20 s to trace
}
# Transformers of the same code, deeper or wider, whose weights take seconds to draw.
NAMES_ONLY = ["vit_b_16", "vit_l_16", "vit_l_32", "vit_h_14", "swin_s", "swin_b", "swin_v2_s", "swin_v2_b"]
SIZES |= {name: [] for name in NAMES_ONLY} | {name: [size] for name, size in tiny.SIZES.items()}
CASES = [(name, size) for name in (*models.names(), *tiny.SIZES) for size in SIZES.get(name, [(33, 47)])]


def pair(name):
    """Our model and torch's function with the same weights."""
    ours = nnx.eval_shape(lambda: tiny.build(name, num_classes=CLASSES))
    cifar = name.startswith("cifar_")
    shapes = synthetic.shapes(ours) if cifar else reference.shapes(name, CLASSES)
    state = synthetic.weights(shapes)
    return converters.from_torch(ours, state), reference.model(name, state, CLASSES)


def apply(graph, state, images):
    return nnx.merge(graph, state)(images)


@pytest.mark.parametrize(("name", "size"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_logits(name, size):
    import torch

    ours, theirs = pair(name)
    images = synthetic.image(*size)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(images)).numpy()
    assert expected.std() > 1e-2
    logits = np.asarray(jax.jit(apply, static_argnums=0)(*nnx.split(ours), jnp.asarray(images)))
    assert logits.shape == (1, CLASSES)
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES_ONLY)
def test_names_and_shapes(name):
    ours = nnx.eval_shape(lambda: models.build(name, num_classes=CLASSES))
    assert shapes(ours) == reference.shapes(name, CLASSES)


@pytest.mark.parametrize("name", tiny.SIZES)
def test_there_and_back_is_bit_exact(name):
    """Buffers included: what torch keeps though it follows from the architecture."""
    state = synthetic.weights(reference.shapes(name, CLASSES))
    again = converters.to_torch(pair(name)[0])
    assert again.keys() == state.keys()
    for key, value in state.items():
        assert again[key].dtype == value.dtype, key
        assert again[key].tobytes() == value.tobytes(), key


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", (95, 79)),
        ("resnet18", (65, 97)),
        ("squeezenet1_1", (79, 95)),
        ("mobilenet_v2", (33, 47)),
        ("cifar_resnet20", (31, 27)),
        *tiny.SIZES.items(),
    ],
)
def test_gradient_of_a_logit(name, size):
    """Through pools with ties, ReLU6 at both ends, the depthwise convolution's two forms, and padded windows."""
    import torch

    ours, theirs = pair(name)
    images = synthetic.image(*size)
    leaf = torch.from_numpy(images).requires_grad_()
    theirs(leaf)[0, 7].backward()
    expected = leaf.grad.numpy()
    gradient = jax.grad(lambda graph, state, x: apply(graph, state, x)[0, 7], argnums=2)
    gradient = np.asarray(jax.jit(gradient, static_argnums=0)(*nnx.split(ours), jnp.asarray(images)))
    # A unit within rounding of its kink may fall on the other side, so: in the mean over pixels.
    assert np.linalg.norm(gradient - expected) <= 1e-3 * np.linalg.norm(expected)
