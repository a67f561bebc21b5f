"""timm's spelling of torchvision's checkpoints: the names that timm's modules give, written out here by hand."""

import re

import numpy as np
import pytest
from flax import nnx

import converters
from converters._fit import fit, shapes
from converters._timm_names import respell
from jaxcam import models

REGNET = {
    "stem.conv.weight": "stem.0.weight",
    "stem.bn.running_mean": "stem.1.running_mean",
    "s1.b1.conv1.conv.weight": "trunk_output.block1.block1-0.f.a.0.weight",
    "s1.b1.downsample.conv.weight": "trunk_output.block1.block1-0.proj.0.weight",
    "s1.b1.downsample.bn.num_batches_tracked": "trunk_output.block1.block1-0.proj.1.num_batches_tracked",
    "s3.b17.conv2.conv.weight": "trunk_output.block3.block3-16.f.b.0.weight",
    "s3.b17.conv2.bn.bias": "trunk_output.block3.block3-16.f.b.1.bias",
    "s3.b17.se.fc1.weight": "trunk_output.block3.block3-16.f.se.fc1.weight",
    "s3.b17.se.fc2.bias": "trunk_output.block3.block3-16.f.se.fc2.bias",
    "s4.b1.conv3.conv.weight": "trunk_output.block4.block4-0.f.c.0.weight",
    "s4.b1.conv3.bn.running_var": "trunk_output.block4.block4-0.f.c.1.running_var",
    "head.fc.weight": "fc.weight",
    "head.fc.bias": "fc.bias",
}
VGG = {
    "features.0.weight": "features.0.weight",
    "pre_logits.fc1.weight": "classifier.0.weight",
    "pre_logits.fc1.bias": "classifier.0.bias",
    "pre_logits.fc2.weight": "classifier.3.weight",
    "pre_logits.fc2.bias": "classifier.3.bias",
    "head.fc.weight": "classifier.6.weight",
    "head.fc.bias": "classifier.6.bias",
}


@pytest.mark.parametrize("names", [REGNET, VGG], ids=["regnet", "vgg"])
def test_names(names):
    arrays = {key: np.full(3, number) for number, key in enumerate(names)}
    respelt = respell(arrays)
    assert list(respelt) == list(names.values())
    assert all(respelt[new] is arrays[old] for old, new in names.items())


def as_timm(key: str) -> str:
    """A RegNet's name in torchvision's spelling -> timm's, in the order in which timm itself replaces."""
    key = re.sub(r"trunk_output\.block(\d)\.block\d-(\d+)\.", lambda m: f"s{m[1]}.b{int(m[2]) + 1}.", key)
    for old, new in (
        *((f"f.{letter}.0.", f"conv{n}.conv.") for n, letter in enumerate("abc", 1)),
        *((f"f.{letter}.1.", f"conv{n}.bn.") for n, letter in enumerate("abc", 1)),
        ("f.se.", "se."),
        ("proj.0.", "downsample.conv."),
        ("proj.1.", "downsample.bn."),
        ("stem.0.", "stem.conv."),
        ("stem.1.", "stem.bn."),
    ):
        key = key.replace(old, new)
    return f"head.{key}" if key.startswith("fc.") else key


@pytest.mark.parametrize("name", ["regnet_x_400mf", "regnet_y_400mf"])
def test_a_regnet_loads(name, tmp_path):
    from safetensors.numpy import save_file

    model = nnx.eval_shape(lambda: models.build(name))
    rng = np.random.default_rng(0)
    state = {key: rng.random(shape, np.float32) for key, shape in shapes(model).items()}
    theirs = {as_timm(key): value for key, value in state.items()}
    assert not theirs.keys() & state.keys()
    save_file(theirs, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = converters.to_torch(converters.load(name, tmp_path / "model.safetensors"))
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value, key)


@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_a_vgg_fits(name):
    wanted = shapes(nnx.eval_shape(lambda: models.build(name)))
    wide = {"classifier.0.weight": (4096, 512, 7, 7), "classifier.3.weight": (4096, 4096, 1, 1)}
    back = {new.rpartition(".")[0]: old.rpartition(".")[0] for old, new in VGG.items() if "classifier" in new}
    theirs = {}
    for key, shape in wanted.items():
        layer, _, kind = key.rpartition(".")
        # an array of zeros without memory of its own
        theirs[f"{back.get(layer, layer)}.{kind}"] = np.broadcast_to(np.float32(0), wide.get(key, shape))
    assert "pre_logits.fc1.weight" in theirs
    assert not any(fit(wanted, {key: value.shape for key, value in respell(theirs).items()}))


def test_a_vggs_convolutions_become_the_same_matrices():
    rng = np.random.default_rng(0)
    kernel, point = rng.random((5, 3, 7, 7)), rng.random((4, 5, 1, 1))
    x = rng.random((3, 7, 7))
    found = respell({"pre_logits.fc1.weight": kernel, "pre_logits.fc2.weight": point})
    first = np.einsum("ochw,chw->o", kernel, x)
    np.testing.assert_allclose(found["classifier.0.weight"] @ x.ravel(), first, rtol=1e-12)
    np.testing.assert_allclose(found["classifier.3.weight"] @ first, point[:, :, 0, 0] @ first, rtol=1e-12)


def test_what_is_spelt_as_torchvision_does_stays():
    arrays = {"layer1.0.conv1.weight": np.zeros(3), "fc.weight": np.zeros(3), "s1.b1": np.zeros(3)}
    assert respell(arrays) == arrays


def test_timms_other_networks_do_not_fit():
    """timm's EfficientNets are its own: the strict error, not half a network."""
    model = nnx.eval_shape(lambda: models.build("efficientnet_b0"))
    theirs = {"conv_stem.weight": np.zeros((32, 3, 3, 3), np.float32)}
    with pytest.raises(ValueError, match=r"1 unexpected: conv_stem\.weight"):
        converters.from_torch(model, theirs)
