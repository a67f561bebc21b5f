"""Every architecture, and every real checkpoint, through the converters."""

import numpy as np
import pytest
from flax import nnx
from selection import architectures, exhaustive

import converters
from converters._fit import shapes
from converters._known import fingerprint
from converters._layout import leaves
from jaxcam import models
from jaxcam.models._published import PUBLISHED

SLOW = {"cifar_resnet1202"}  # seconds to build; its blocks are those of cifar_resnet110
NAMES = [name for name in models.names() if name not in SLOW]
LARGE = 12e6  # arrays of more elements than that in all are turned, but not filled
SMALLEST = {"convnext_tiny"}  # of its family, and filled nevertheless

CHECKPOINTS = {
    "squeezenet1_1": "squeezenet1_1.pth",
    "mobilenet_v2": "mobilenet_v2.pth",
    "cifar_resnet20": "cifar10_resnet20-12fca82f.th",
    "cifar_resnet56": "cifar10_resnet56-4bfd9763.th",
}


def assert_turned_back(leaf):
    """By address, which costs nothing for any size: what is turned twice is the same elements in the same order."""
    flattened = bool(getattr(leaf.layer, "flattened", None)) and len(leaf.shape) == 2
    x = np.empty(leaf.shape, np.float32)  # memory that is never touched
    if flattened:  # the one rule that moves elements: a few rows, by value
        x = np.arange(4 * leaf.shape[1], dtype=np.float32).reshape(4, -1)
    turned = leaf.from_torch(x)
    back = leaf.to_torch(turned)
    assert turned.shape[:-1] == tuple(leaf.variable.shape[:-1]), leaf.key
    assert (back.shape, back.dtype) == (x.shape, x.dtype), leaf.key
    if flattened:
        np.testing.assert_array_equal(back, x, leaf.key)
    else:
        assert (back.ctypes.data, back.strides) == (x.ctypes.data, x.strides), leaf.key


@pytest.mark.parametrize("name", architectures(NAMES))
def test_names_shapes_and_values_go_round(name):
    model = nnx.eval_shape(lambda: models.build(name, num_classes=7))
    wanted = shapes(model)
    assert PUBLISHED[name].fingerprint == fingerprint(wanted), (
        "out of date: python tests/models/make_published.py"
    )
    for leaf in leaves(model):
        assert_turned_back(leaf)
    if name not in SMALLEST and sum(map(np.prod, wanted.values())) > LARGE:
        return
    rng = np.random.default_rng(0)
    state = {key: rng.random(shape, np.float32) for key, shape in wanted.items()}
    again = converters.to_torch(converters.from_torch(model, state))
    counters = {key for key in again if key.endswith("num_batches_tracked")}
    assert again.keys() - counters == state.keys()
    assert len(counters) == sum(key.endswith("running_mean") for key in state)
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value, key)
    for key in counters:
        assert again[key].dtype == np.int64
        assert again[key].shape == ()


def test_fingerprints_differ():
    assert len({each.fingerprint for each in PUBLISHED.values()}) == len(PUBLISHED)


def abstract(name, **options):
    return nnx.eval_shape(lambda: models.build(name, **options))


def zeros(wanted):
    return {key: np.zeros(shape, np.float32) for key, shape in wanted.items()}


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("googlenet", {"aux1.conv.conv.weight": (128, 512, 1, 1), "aux2.fc2.bias": (1000,)}),
        ("inception_v3", {"AuxLogits.conv0.conv.weight": (128, 768, 1, 1), "AuxLogits.fc.bias": (1000,)}),
    ],
)
def test_auxiliary_heads_are_dropped(name, heads):
    model = abstract(name)
    state = zeros(shapes(model) | heads)
    assert not heads.keys() & converters.to_torch(converters.from_torch(model, state)).keys()
    with pytest.raises(ValueError, match=r"1 unexpected: aux3\.fc\.bias$"):
        converters.from_torch(model, {**state, "aux3.fc.bias": np.zeros(7, np.float32)})
    with pytest.raises(ValueError, match=f"this looks like {name}"):
        converters.from_torch(abstract("resnet18"), state)


@pytest.mark.parametrize(
    ("name", "other"),
    exhaustive(
        [
            ("densenet121", "densenet169"),
            ("mnasnet0_5", "mnasnet1_0"),
            ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0"),
            ("mobilenet_v3_small", "mobilenet_v3_large"),
            ("efficientnet_b0", "efficientnet_b1"),
            ("regnet_y_400mf", "regnet_y_800mf"),
        ],
        lambda case: case[0] not in ("mnasnet0_5", "shufflenet_v2_x0_5"),
    ),
)
def test_another_variant_or_number_of_classes_is_said(name, other):
    state = zeros(shapes(abstract(name, num_classes=7)))
    with pytest.raises(ValueError, match=f"this looks like {name}"):
        converters.from_torch(abstract(other, num_classes=7), state)
    with pytest.raises(
        ValueError, match="head has 7 classes, the model was built with 5: pass num_classes=7"
    ):
        converters.from_torch(abstract(name, num_classes=5), state)


@pytest.mark.realdata
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_real_checkpoints(data, name):
    path = data / "weights" / CHECKPOINTS[name]
    state = converters.read(path)
    again = converters.to_torch(converters.load(name, path))
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(again[key], value, key)
    assert not {key for key in again.keys() - state.keys() if not key.endswith("num_batches_tracked")}


@pytest.mark.realdata
def test_real_checkpoints_are_recognised(data):
    with pytest.raises(ValueError, match="this looks like mobilenet_v2"):
        converters.load("resnet18", data / "weights" / "mobilenet_v2.pth")
