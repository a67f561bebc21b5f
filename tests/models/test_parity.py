"""Logits and gradients equal torch's; `from_torch` asks on the way that all names and shapes do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import synthetic
from flax import nnx

import converters
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
    "mobilenet_v3_small": [(224, 224), (33, 47)],
    "efficientnet_b0": [(224, 224), (33, 47)],
    "regnet_x_400mf": [(65, 97)],
    "regnet_y_128gf": [],  # its weights take 2.6 GB, several times over
    "convnext_tiny": [(224, 224), (65, 97)],
    "cifar_resnet20": [(32, 32), (31, 27)],
    "cifar_resnet1202": [],  # 1202 layers take 20 s to trace
}
CASES = [(name, size) for name in models.names() for size in SIZES.get(name, [(33, 47)])]


def pair(name):
    """Our model and torch's function with the same weights."""
    ours = nnx.eval_shape(lambda: models.build(name, num_classes=CLASSES))
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
    images = synthetic.image(*size, batch=2)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(images)).numpy()
    assert expected.std() > 1e-2
    assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()  # the images can be told apart
    logits = np.asarray(jax.jit(apply, static_argnums=0)(*nnx.split(ours), jnp.asarray(images)))
    assert logits.shape == (2, CLASSES)
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", [name for name in models.names() if not name.startswith("cifar_")])
def test_modules_and_their_settings(name):
    """The paths of all modules, what convolutions, norms and dropouts are built with, and how pictures are prepared."""
    import _torchvision
    from torch import nn

    torchvision = _torchvision.load()
    ours = nnx.eval_shape(lambda: models.build(name))
    theirs = reference.abstract(name, 1000)
    modules = {".".join(map(str, path)): module for path, module in nnx.iter_modules(ours)}
    for path, module in theirs.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert modules[path].epsilon == module.eps
            assert modules[path].momentum == pytest.approx(1 - module.momentum)
        elif isinstance(module, nn.LayerNorm):
            assert modules[path].epsilon == module.eps
        elif isinstance(module, nn.Conv2d):
            assert modules[path].strides == module.stride
            assert modules[path].padding == tuple((pad, pad) for pad in module.padding)
            assert modules[path].kernel_dilation == module.dilation
            assert modules[path].feature_group_count == module.groups
        elif isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            assert modules[path].rate == pytest.approx(module.p)
    assert (
        set(modules) - {"avgpool"} <= dict(theirs.named_modules()).keys()
    )  # MobileNetV2 pools by a function
    weights = torchvision.models.get_model_weights(name)
    wanted = getattr(weights, "IMAGENET1K_V1", weights.DEFAULT).transforms()
    prepare = models.preprocess(name)
    assert [prepare.resize] == wanted.resize_size
    assert [prepare.size] == wanted.crop_size
    assert [list(prepare.mean), list(prepare.std)] == [wanted.mean, wanted.std]
    assert prepare.interpolation.name.lower() == wanted.interpolation.value


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", (95, 79)),
        ("resnet18", (65, 97)),
        ("squeezenet1_1", (79, 95)),
        ("mobilenet_v2", (33, 47)),
        ("mobilenet_v3_small", (33, 47)),
        ("efficientnet_b0", (33, 47)),
        ("regnet_y_400mf", (33, 47)),
        ("convnext_tiny", (33, 47)),
        ("cifar_resnet20", (31, 27)),
    ],
)
def test_gradient_of_a_logit(name, size):
    """Through pools with ties, ReLU6 at both ends, and the depthwise convolution's two forms."""
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
