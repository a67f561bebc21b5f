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
from jaxcam.models._layers import Relu
from jaxcam.models._pool import AdaptiveAvgPool, AvgPool, MaxPool

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
    "googlenet": [(65, 97)],
    "inception_v3": [(139, 161)],
    "mobilenet_v3_small": [(224, 224), (33, 47)],
    "efficientnet_b0": [(224, 224), (33, 47)],
    "regnet_x_400mf": [(65, 97)],
    "convnext_tiny": [(224, 224), (65, 97)],
    "vit_b_32": [(224, 224)],
    "swin_t": [(224, 224), (65, 71)],
    "swin_v2_t": [(256, 256), (65, 71)],
    "maxvit_t": [(224, 224)],
    "cifar_resnet20": [(32, 32), (31, 27)],
    "cifar_resnet1202": [],  # 1202 layers take 20 s to trace
    **{name: [size] for name, size in tiny.SIZES.items()},
}
# For these the smallest of their family stands, and names and shapes are compared: each takes a while to compile, or
# to draw its weights.
LARGER = (
    *("densenet161", "densenet169", "densenet201"),
    *("mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
    *("shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
    *(f"efficientnet_b{number}" for number in range(1, 8)),
    *("efficientnet_v2_m", "efficientnet_v2_l"),
    *(
        f"regnet_{kind}_{size}"
        for kind in "xy"
        for size in ("800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
    ),
    "regnet_y_128gf",
    *("convnext_small", "convnext_base", "convnext_large"),
    *("vit_b_16", "vit_l_16", "vit_l_32", "vit_h_14"),
    *("swin_s", "swin_b", "swin_v2_s", "swin_v2_b"),
)
CASES = [
    (name, size)
    for name in (*models.names(), *tiny.SIZES)
    if name not in LARGER
    for size in SIZES.get(name, [(33, 47)])
]


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
    images = synthetic.image(*size, batch=2)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(images)).numpy()
    assert expected.std() > 1e-2
    assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()  # the images can be told apart
    logits = np.asarray(jax.jit(apply, static_argnums=0)(*nnx.split(ours), jnp.asarray(images)))
    assert logits.shape == (2, CLASSES)
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", LARGER)
def test_names_and_shapes(name):
    ours = shapes(nnx.eval_shape(lambda: models.build(name, num_classes=CLASSES)))
    theirs = reference.shapes(name, CLASSES)
    assert ours == {key: shape for key, shape in theirs.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_weights_fit_torchs_model_without_auxiliary_heads(name):
    """Strictly; `pair` has shown that theirs with auxiliary heads fit ours."""
    import _torchvision
    import torch

    ours, _ = pair(name)
    with torch.device("meta"):
        options = {"num_classes": CLASSES, "aux_logits": False, "init_weights": False}
        theirs = _torchvision.load().models.get_model(name, **options)
    state = {key: torch.from_numpy(value) for key, value in converters.to_torch(ours).items()}
    theirs.load_state_dict(state, assign=True)


@pytest.mark.parametrize("name", [name for name in models.names() if not name.startswith("cifar_")])
def test_modules_and_their_settings(name):
    """The paths of all modules, and what convolutions, norms and dropouts are built with."""
    import _torchvision
    from torch import nn

    torchvision = _torchvision.load()
    ours = nnx.eval_shape(lambda: models.build(name))
    theirs = dict(reference.abstract(name, 1000).named_modules())
    modules = {".".join(map(str, path)): module for path, module in nnx.iter_modules(ours)}
    functions = (
        Relu,
        MaxPool,
        AvgPool,
        AdaptiveAvgPool,
    )  # modules here, in some torch models calls of functions
    assert {path for path in modules if not isinstance(modules[path], functions)} <= theirs.keys()
    for path in modules.keys() & theirs.keys():
        mine, module = modules[path], theirs[path]
        if isinstance(module, nn.BatchNorm2d):
            assert mine.epsilon == module.eps
            assert mine.momentum == pytest.approx(1 - module.momentum)
        elif isinstance(module, nn.LayerNorm):
            assert mine.epsilon == module.eps
        elif isinstance(module, nn.Conv2d):
            assert mine.strides == module.stride
            assert mine.padding == tuple((pad, pad) for pad in module.padding)
            assert mine.kernel_dilation == module.dilation
            assert mine.feature_group_count == module.groups
        elif isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            assert mine.rate == pytest.approx(module.p)


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
        ("googlenet", (33, 47)),
        ("shufflenet_v2_x0_5", (33, 47)),
        ("mobilenet_v3_small", (33, 47)),
        ("efficientnet_b0", (33, 47)),
        ("regnet_y_400mf", (33, 47)),
        ("convnext_tiny", (33, 47)),
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
