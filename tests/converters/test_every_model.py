"""Every architecture, and every real checkpoint, through the converters."""

import numpy as np
import pytest
from flax import nnx

import converters
from converters._fit import shapes
from converters._known import _FINGERPRINTS, fingerprint
from jaxcam import models

SLOW = {"cifar_resnet1202"}  # seconds to build; its blocks are those of cifar_resnet110
NAMES = [name for name in models.names() if name not in SLOW]
LARGE = 12e6  # arrays of more elements than that in all are not filled
SMALLEST = {"convnext_tiny"}  # of its family, and filled nevertheless

CHECKPOINTS = {
    "squeezenet1_1": "squeezenet1_1.pth",
    "mobilenet_v2": "mobilenet_v2.pth",
    "cifar_resnet20": "cifar10_resnet20-12fca82f.th",
    "cifar_resnet56": "cifar10_resnet56-4bfd9763.th",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_values_go_round(name):
    model = nnx.eval_shape(lambda: models.build(name, num_classes=7))
    wanted = shapes(model)
    assert _FINGERPRINTS.get(name) == fingerprint(wanted), "out of date: python -m converters._known"
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


def test_fingerprints_are_of_known_models_and_differ():
    assert _FINGERPRINTS.keys() == set(models.names()), "out of date: python -m converters._known"
    assert len(set(_FINGERPRINTS.values())) == len(_FINGERPRINTS)


@pytest.mark.parametrize(
    ("name", "other"),
    [("mobilenet_v3_small", "mobilenet_v3_large"), ("efficientnet_b0", "efficientnet_b1")],
)
def test_a_checkpoint_of_another_variant_is_recognised(name, other):
    model, given = (nnx.eval_shape(lambda each=each: models.build(each)) for each in (name, other))
    state = {key: np.zeros(shape, np.float32) for key, shape in shapes(given).items()}
    with pytest.raises(ValueError, match="does not fit the model") as error:
        converters.from_torch(model, state)
    assert str(error.value).endswith(f"this looks like {other}")


def test_another_number_of_classes_is_said():
    model = nnx.eval_shape(lambda: models.build("regnet_y_400mf", num_classes=10))
    wanted = shapes(model) | {"fc.weight": (7, 440), "fc.bias": (7,)}
    state = {key: np.zeros(shape, np.float32) for key, shape in wanted.items()}
    with pytest.raises(
        ValueError, match="head has 7 classes, the model was built with 10: pass num_classes=7"
    ):
        converters.from_torch(model, state)


@pytest.mark.realdata
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_real_checkpoints(data, name):
    path = data / "weights" / CHECKPOINTS[name]
    if path.suffix == ".th":
        pytest.importorskip("torch", reason="files from before torch 1.6 need torch")
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
