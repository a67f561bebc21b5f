"""First mistakes with `explain`: each is told in its own words."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from nets import Small

import jaxcam

IMAGES = np.linspace(0, 1, 2 * 12 * 14 * 3, dtype=np.float32).reshape(2, 12, 14, 3)


@pytest.fixture(scope="module")
def net():
    return Small()


@pytest.fixture(scope="module")
def probe(net):
    return jaxcam.probe(net, "blocks.0")


MISTAKES = {
    "list of methods": (
        {"method": ["gradcam", "hirescam"]},
        "a method is a function or a name, one in a call; got ['gradcam', 'hirescam']: call explain once for each",
    ),
    "number": ({"method": 3}, "a method is a function or a name, one in a call; got 3"),
    "target": ({"target": 3}, "explain has no argument 'target': did you mean 'targets'?"),
    "layer": ({"layer": "stem"}, "explain has no argument 'layer': a layer belongs to the probe"),
    "layers": (
        {"target_layers": ["stem"]},
        "explain has no argument 'target_layers': a layer belongs to the probe",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_an_argument_that_is_almost_one(probe, unchecked, case):
    given, message = MISTAKES[case]
    with pytest.raises(TypeError, match=re.escape(message)):
        jaxcam.explain(probe, IMAGES, **given)


def test_a_model_instead_of_a_probe(net, unchecked):
    message = (
        r"a probe comes first, one layer of a model, and not the model itself; got Small: jaxcam.probe\(model"
    )
    with pytest.raises(TypeError, match=message):
        jaxcam.explain(net, IMAGES)
    with pytest.raises(TypeError, match="got Small"):
        jaxcam.explain(Small, IMAGES)


def test_channels_first(probe):
    with pytest.raises(
        ValueError, match=r"looks as if the channels came first.*images.transpose\(0, 2, 3, 1\) of a batch"
    ):
        jaxcam.explain(probe, IMAGES.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match="cannot look at images") as told:
        jaxcam.explain(probe, IMAGES[..., :2])
    assert "channels came first" not in str(told.value)


def test_a_torch_tensor_is_told_without_torch(probe, monkeypatch, unchecked):
    tensor = type(
        "Tensor", (), {"__module__": "torch", "shape": (2, 3, 12, 14), "ndim": 4, "dtype": "torch.float32"}
    )
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))  # which has nothing
    with pytest.raises(TypeError, match=r"got a torch tensor \(2, 3, 12, 14\): pass a NumPy or JAX array"):
        jaxcam.explain(probe, tensor())
