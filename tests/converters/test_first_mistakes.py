"""What is said where a name, a path, a model or an array stands in the place of another."""

from pathlib import Path

import numpy as np
import pytest
from small_net import abstract, random_state

import converters

pytestmark = pytest.mark.usefixtures("unchecked")
MODEL, STATE = abstract(), random_state()


class Module:  # as torch's, by name: torch is never imported here
    def state_dict(self):
        return STATE


Module.__module__ = "torch.nn.modules.module"


class ResNet(Module):
    pass


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: converters.from_torch("resnet50", STATE),
            r"build the model first, jaxcam\.models\.build\('resnet50'\)",
        ),
        (lambda: converters.from_torch("resnet5", STATE), "did you mean 'resnet50'"),
        (lambda: converters.from_torch("a.pth", STATE), r"a path, 'a\.pth': .*load\(name, path\)"),
        (lambda: converters.from_torch(Path("a.pth"), STATE), r"a path, 'a\.pth'"),
        (
            lambda: converters.from_torch(type(MODEL), STATE),
            r"the class Net: make a model of it first, Net\(",
        ),
        (
            lambda: converters.from_torch(STATE, MODEL),
            "got a dict: the model comes first, then the state_dict",
        ),
        (lambda: converters.from_torch(ResNet(), STATE), r"got a torch module, ResNet: .*models\.build"),
        (lambda: converters.from_torch(None, STATE), "takes an nnx model, got a NoneType"),
        (
            lambda: converters.from_torch(MODEL, ResNet()),
            r"got a torch module, ResNet: pass its state_dict\(\)",
        ),
        (lambda: converters.from_torch(MODEL, "a.pth"), r"got a path: converters\.read\('a\.pth'\)"),
        (lambda: converters.from_torch(MODEL, np.ones(3)), "got one array, ndarray: each needs its name"),
        (
            lambda: converters.from_torch(MODEL, MODEL),
            r"got an nnx model, Net: converters\.to_torch\(model\)",
        ),
        (lambda: converters.from_torch(MODEL, [1]), r"takes a state_dict \(names of arrays\), got a list"),
        (lambda: converters.to_torch(ResNet()), "to_torch takes an nnx model, got a torch module"),
        (lambda: converters.to_torch("resnet50"), "to_torch takes an nnx model, got a name"),
        (
            lambda: converters.load("resnet50", STATE),
            r"takes a path, got a dict: converters\.from_torch\(model, state",
        ),
        (lambda: converters.load("resnet50", ResNet()), r"got a ResNet: .*module\.state_dict\(\)"),
        (lambda: converters.read(STATE), "read takes a path, got a dict"),
        (lambda: converters.metadata(STATE), "metadata takes a path, got a dict"),
        (lambda: converters.fetch("resnet50", STATE), "fetch takes a path, got a dict"),
        (
            lambda: converters.save(Path("a.npz"), MODEL, name="resnet50"),
            "save takes an nnx model, got a path",
        ),
        (
            lambda: converters.save(MODEL, MODEL, name="resnet50"),
            "save takes a path, got a Net: .*not a model",
        ),
    ],
)
def test_arguments_of_another_kind(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_an_array_in_a_state_dict_that_is_none():
    with pytest.raises(ValueError, match=r"holds a ResNet under 'conv\.weight' where an array"):
        converters.from_torch(MODEL, {"conv.weight": ResNet()})

    def refuse(*_):
        raise TypeError("can't convert Sparse layout tensor to numpy")

    sparse = type(
        "Tensor", (), {"cpu": lambda x: x, "detach": lambda x: x, "dtype": "f", "__array__": refuse}
    )()
    with pytest.raises(
        ValueError, match=r"torch does not give 'conv\.weight' as an array: can't convert Sparse"
    ):
        converters.from_torch(MODEL, {"conv.weight": sparse})


@pytest.mark.parametrize("text", ["hf://timm/resnet50.tv_in1k", Path("hf://timm/resnet50.tv_in1k")])
def test_an_address_keeps_both_slashes(text):
    with pytest.raises(
        FileNotFoundError, match=r"^hf://timm/resnet50\.tv_in1k is on the Hub: .*fetch or load"
    ):
        converters.read(text)
    with pytest.raises(ValueError, match=r"given as hf://OWNER/NAME, got 'hf://resnet50'"):
        converters.fetch("resnet50", Path("hf://resnet50"))


@pytest.mark.parity
def test_torchs_own():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"a torch module, Linear: pass its state_dict\(\)"):
        converters.from_torch(MODEL, torch.nn.Linear(2, 3))
    with pytest.raises(TypeError, match="one array, Tensor: each needs its name"):
        converters.from_torch(MODEL, torch.ones(3))
    for odd in (torch.eye(3).to_sparse(), torch.ones(3, device="meta")):
        with pytest.raises(ValueError, match=r"torch does not give 'conv\.weight' as an array"):
            converters.from_torch(MODEL, {"conv.weight": odd})
