"""timm's spelling of torchvision's checkpoints: the names that timm's modules give, written out here by hand."""

import re

import numpy as np
import pytest
from flax import nnx

import converters
from converters._fit import fit, shapes
from converters._timm_names import respell
from jaxcam import models
from jaxcam.models._attention import relative_position_index

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


SWIN = {
    "patch_embed.proj.weight": "features.0.0.weight",
    "patch_embed.norm.bias": "features.0.2.bias",
    "layers.0.blocks.1.norm1.weight": "features.1.1.norm1.weight",
    "layers.0.blocks.1.attn.qkv.weight": "features.1.1.attn.qkv.weight",
    "layers.1.downsample.reduction.weight": "features.2.reduction.weight",
    "layers.1.blocks.0.mlp.fc2.bias": "features.3.0.mlp.3.bias",
    "norm.weight": "norm.weight",
    "head.fc.weight": "head.weight",
}
# as timm's first Swins were saved: a stage ended in the merging of patches
SWIN_BEFORE = {
    "layers.0.downsample.reduction.weight": "features.2.reduction.weight",
    "head.weight": "head.weight",
}
NEW = {"layers.1.downsample.reduction.weight", "head.fc.weight"}


@pytest.mark.parametrize("before", [False, True])
def test_names_of_a_swin(before):
    """What follows from the window is made anew, whether it is there or not."""
    names = {key: new for key, new in SWIN.items() if key not in NEW} | SWIN_BEFORE if before else SWIN
    arrays = {key: np.full(3, number) for number, key in enumerate(names)}
    table = np.zeros((25, 2))
    given = arrays | {f"layers.0.blocks.{n}.attn.relative_position_bias_table": table for n in (0, 1)}
    if before:
        given["layers.0.blocks.1.attn.attn_mask"] = np.zeros((4, 9, 9))
        given["layers.0.blocks.1.attn.relative_position_index"] = np.zeros((9, 9), np.int64)
    respelt = respell(given)
    assert all(respelt[new] is arrays[old] for old, new in names.items())
    index = relative_position_index(3).reshape(-1)
    rest = respelt.keys() - set(names.values())
    assert rest == {
        f"features.1.{n}.attn.relative_position_{kind}" for n in (0, 1) for kind in ("bias_table", "index")
    }
    np.testing.assert_array_equal(respelt["features.1.1.attn.relative_position_index"], index)


@pytest.mark.parametrize("rows", [(), (24,), (10**8,), (0,)])
def test_a_table_of_no_window_has_no_index(rows):
    """It would be of a hundred million pairs, where the table itself may hold nothing."""
    key = "layers.0.blocks.0.attn.relative_position_bias_table"
    respelt = respell({key: np.zeros((*rows, 0) if rows else ())})
    assert list(respelt) == ["features.1.0.attn.relative_position_bias_table"]


def test_two_spellings_of_one_name():
    arrays = {"blocks.0.attn.qkv.weight": 1, "blocks.0.ls1.gamma": 2, "blocks.0.gamma_1": 3}
    with pytest.raises(ValueError, match="two spellings of one name"):
        respell({key: np.full(3, value) for key, value in arrays.items()})


def test_blocks_of_an_efficientnet():
    """Its layers are numbered by what a block has: expansion, filter, excitation, projection."""
    kinds = {
        "0.0": {"conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "conv_pw": "2.0", "bn2": "2.1"},
        "1.0": {
            "conv_pw": "0.0",
            "bn1": "0.1",
            "conv_dw": "1.0",
            "bn2": "1.1",
            "conv_pwl": "2.0",
            "bn3": "2.1",
        },
        "2.0": {"conv_exp": "0.0", "bn1": "0.1", "conv_pwl": "1.0", "bn2": "1.1"},
        "3.1": {"conv": "0.0", "bn1": "0.1"},
    }
    names = {
        f"blocks.{place}.{old}.weight": f"features.{int(place[0]) + 1}.{place[2:]}.block.{new}.weight"
        for place, layers in kinds.items()
        for old, new in layers.items()
    }
    names |= {"conv_stem.weight": "features.0.0.weight", "bn2.bias": "features.5.1.bias"}
    names |= {"conv_head.weight": "features.5.0.weight", "classifier.bias": "classifier.1.bias"}
    respelt = respell({key: np.full(3, 0) for key in names})
    assert list(respelt) == list(names.values())


def test_timms_other_networks_do_not_fit():
    """timm's MobileNets are its own: the strict error, not half a network."""
    model = nnx.eval_shape(lambda: models.build("mobilenet_v2"))
    theirs = {"conv_stem.weight": np.zeros((32, 3, 3, 3), np.float32)}
    with pytest.raises(ValueError, match=r"1 unexpected: conv_stem\.weight"):
        converters.from_torch(model, theirs)
