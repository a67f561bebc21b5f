"""timm's names and configurations, without timm: what is served, what is refused and why, and the preprocessing."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

import converters
from converters._fit import shapes
from jaxcam import models
from jaxcam.models._preprocess import BICUBIC, Preprocess
from jaxcam.models._timm import table, timm_architecture
from jaxcam.models._timm._config import Config

A1 = {
    "architecture": "resnet50",
    "num_classes": 1000,
    "num_features": 2048,
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "input_size": [3, 224, 224],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 1000,
    },
}


def changed(**inputs):
    return A1 | {"pretrained_cfg": A1["pretrained_cfg"] | inputs}


def parsed(content) -> Config:
    config = Config.parse(content)
    assert config is not None
    return config


def test_most_names_are_served_and_the_others_say_why():
    served, refused = set(), {}
    for name in table():
        try:
            timm_architecture(name)
            served.add(name)
        except ValueError as error:
            refused[name] = str(error)
    assert len(served) > 300
    assert {table()[name]["family"] for name in served} == {each["family"] for each in table().values()}
    for name, words in refused.items():
        assert words.startswith(f"timm's {name!r} is not served: jaxcam's {table()[name]['family']} has no ")
        assert "None" not in words


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("resnetaa50", "anti-aliased downsampling"),
        ("ecaresnet50t", "attention of the kind eca"),
        ("convnext_atto_ols", "stem_type=overlap_tiered"),
        ("vit_base_patch16_siglip_224", "global_pool=map"),
        ("aimv2_large_patch14_224", "norm of the kind RmsNorm"),
        ("test_vit4", "norm of the kind rmsnorm"),
        ("efficientnet_es", "EdgeTPU blocks"),
        ("regnetv_040", "norms before convolutions"),
        ("densenetblur121d", "stem_type=deep"),
    ],
)
def test_a_missing_feature_is_named(name, feature):
    with pytest.raises(ValueError, match=rf"^timm's '{name}' is not served: jaxcam's \w+ has no .*{feature}"):
        models.build(name)


def test_other_families_are_not_served():
    with pytest.raises(
        ValueError, match=r"timm's 'mobilenetv4_conv_small' is not served: tags of ResNet, .* are"
    ):
        parsed(A1 | {"architecture": "mobilenetv4_conv_small"}).architecture()


def test_arguments_of_the_configuration_are_heard():
    config = parsed(
        A1
        | {
            "architecture": "vit_tiny_patch16_224",
            "model_args": {"img_size": 64, "qkv_bias": False, "num_classes": 21843},
        }
    )
    options = config.architecture().options
    assert options["image_size"] == 64
    assert not options["variant"].bias
    with pytest.raises(ValueError, match=r"jaxcam's vit has no norm of queries and keys \(qk_norm\)"):
        parsed(A1 | {"architecture": "vit_tiny_patch16_224", "model_args": {"qk_norm": True}}).architecture()
    with pytest.raises(ValueError, match="jaxcam's resnet has no in_chans=1"):
        parsed(A1 | {"model_args": {"in_chans": 1}}).architecture()


def test_features_without_a_head():
    model = nnx.eval_shape(lambda: models.build("vit_small_patch14_dinov2"))
    assert model.image_size == 518
    assert not any("head" in key for key in shapes(model))
    images = jax.ShapeDtypeStruct((1, 518, 518, 3), jnp.float32)
    assert jax.eval_shape(lambda model, images: model(images), model, images).shape == (1, 384)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        models.build("resnet18", num_classes=0)


def test_leading_tokens():
    """Class token and registers have no place in a map."""
    for name, tokens in {
        "vit_small_patch14_dinov2": 1,
        "vit_small_patch14_reg4_dinov2": 5,
        "vit_wee_patch16_reg1_gap_256": 1,
        "vit_medium_patch16_gap_256": 0,
        "deit_tiny_distilled_patch16_224": 2,
    }.items():
        options = timm_architecture(name).options
        assert options["variant"].leading == tokens, name


def test_a_tags_own_preprocessing(tmp_path):
    """From the folder of a checkpoint; it is kept when the checkpoint is converted."""
    name, folder = "regnet_x_400mf", tmp_path / "tag"
    wanted = shapes(nnx.eval_shape(lambda: models.build(name)))
    folder.mkdir()
    save_file(
        {key: np.zeros(shape, np.float32) for key, shape in wanted.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(A1 | {"architecture": "regnetx_004_tv"}))
    a1 = Preprocess(resize=235, size=224, interpolation=BICUBIC)
    assert converters.preprocess(name, folder) == a1
    assert converters.preprocess(name, folder / "model.safetensors") == a1
    copy, source = tmp_path / "copy.safetensors", folder / "model.safetensors"
    converters.save(converters.load(name, folder), copy, name=name, source=source)
    assert converters.preprocess(name, copy) == a1
    (folder / "config.json").write_text(json.dumps(A1))
    with pytest.raises(ValueError, match=rf"as {name}: its config\.json says that it is of timm's resnet50"):
        converters.load(name, folder)
    (folder / "config.json").unlink()
    assert converters.preprocess(name, folder) == models.preprocess(name)


def test_the_same_network_under_another_name():
    """torchvision's names of networks that timm has, too, take timm's tags; those that differ do not."""
    from converters._own import _alike
    from jaxcam.models._registry import TABLE

    for ours, theirs in {
        "vit_b_16": "vit_base_patch16_224",
        "swin_t": "swin_tiny_patch4_window7_224",
        "regnet_y_800mf": "regnety_008_tv",
        "convnext_tiny": "convnext_tiny",
        "vgg11_bn": "vgg11_bn",
        "densenet161": "densenet161",
        "efficientnet_b0": "efficientnet_b0",
        "efficientnet_v2_s": "efficientnetv2_s",
        "resnext50_32x4d": "resnext50_32x4d",
        "wide_resnet50_2": "wide_resnet50_2",
    }.items():
        assert _alike(TABLE[ours], timm_architecture(theirs)), ours
    for ours, theirs in {
        "vit_b_16": "vit_small_patch16_224",
        "resnet18": "resnet18d",
        "vit_l_16": "vit_large_patch16_siglip_gap_256",
        "resnet50": "vgg11",
    }.items():
        assert not _alike(TABLE[ours], timm_architecture(theirs)), ours


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (changed(interpolation="random"), "preprocessing with interpolation=random"),
        (changed(crop_mode="border"), "preprocessing with crop_mode=border"),
        (changed(input_size=[3, 224, 256]), r"preprocessing with input_size=\[3, 224, 256\]"),
        (changed(input_size=[1, 224, 224]), r"preprocessing with input_size=\[1, 224, 224\]"),
        (changed(input_size=224), "is not understood: input_size=224"),
        (changed(mean=[0.5]), "is not understood: "),
        (changed(crop_pct=1e-9), "is not understood: crop_pct=1e-09"),
        (changed(std=[0, 1, 1]), r"is not understood: .* std=\(0\.0, 1\.0, 1\.0\)"),
    ],
)
def test_preprocessing_that_is_not_served(config, words):
    with pytest.raises(ValueError, match=words):
        parsed(config).preprocess()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 10**9}, "is not understood: an argument of 1000000000"),
        ({"depth": "twelve"}, "is not understood: "),
        ({"depth": None}, "is not understood: "),
        ({"norm_layer": ["LayerNorm"]}, r"no norm of the kind \['LayerNorm'\]"),
        ({"img_size": [32, 64]}, "no pictures of unequal sides"),
        ({"never_heard_of": 1}, "no never_heard_of=1"),
    ],
)
def test_damaged_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        parsed(A1 | {"architecture": "vit_tiny_patch16_224", "model_args": arguments}).architecture()


@pytest.mark.parametrize("content", [[], {}, {"architectures": ["ViTModel"]}, {"architecture": "resnet50"}])
def test_another_librarys_configuration(content):
    assert Config.parse(content) is None


def test_the_first_form_of_the_configuration():
    """Before `pretrained_cfg` stood apart, it was the whole file."""
    flat = {"architecture": "resnet50", **A1["pretrained_cfg"]}
    assert parsed(flat).preprocess() == parsed(A1).preprocess()
    assert parsed(flat).classes == 1000


def test_both_sides_resized():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    squashed = parsed(changed(crop_mode="squash", input_size=[3, 32, 32], crop_pct=0.8)).preprocess()
    assert not squashed.keep_aspect
    expected = np.asarray(picture.resize((40, 40), BICUBIC))[4:36, 4:36]
    np.testing.assert_array_equal(squashed.view(picture), expected)
    assert squashed.described()["keep_aspect"] is False
    assert "keep_aspect" not in models.preprocess("resnet50").described()


def test_a_network_of_timms_has_no_preprocessing_of_its_own():
    with pytest.raises(ValueError, match=r"converters\.preprocess\(name, checkpoint\)"):
        models.preprocess("resnet18d")
    with pytest.raises(ValueError, match=r"on the Hub, hf://timm/resnet18d\.TAG, got 'DEFAULT'"):
        converters.fetch("resnet18d", "DEFAULT")
