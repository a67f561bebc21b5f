"""timm's networks with random weights, saved as a tag lies on the Hub, and loaded by jaxcam: the logits of both."""

import json
import re
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import synthetic
from flax import nnx
from safetensors.numpy import save_file


class Case(NamedTuple):
    """A tag, its family in words, and the sides of the picture.

    Attributes:
        quick: whether the parity tests run it; the benchmark runs all.
        sized: whether the network is built for the size of the picture: it has positions or windows.
        built: further arguments of the network, such as a smaller depth, as (name, value) pairs.
    """

    tag: str
    family: str
    size: int = 64
    quick: bool = False
    sized: bool = False
    built: tuple[tuple[str, int], ...] = ()


quick = partial(Case, quick=True)
sized = partial(Case, quick=True, sized=True)
large = partial(Case, sized=True)
SHORT = (("depth", 2), ("embed_dim", 96), ("num_heads", 3))
CASES = (
    quick("resnet10t.c3_in1k", "ResNet-T"),
    quick("resnet18.a1_in1k", "ResNet"),
    quick("resnet18d.ra2_in1k", "ResNet-D", 97),
    Case("resnet50.a1_in1k", "ResNet"),
    Case("resnet101.a1h_in1k", "ResNet"),
    Case("resnet26t.ra2_in1k", "ResNet-T"),
    Case("resnet50d.ra2_in1k", "ResNet-D"),
    Case("resnetrs50.tf_in1k", "ResNet-RS"),
    Case("seresnet50.ra2_in1k", "SE-ResNet"),
    quick("seresnext26d_32x4d.bt_in1k", "SE-ResNeXt"),
    quick("resnext50_32x4d.a1h_in1k", "ResNeXt"),
    Case("resnext101_32x8d.fb_wsl_ig1b_ft_in1k", "ResNeXt"),
    Case("wide_resnet50_2.racm_in1k", "Wide ResNet"),
    quick("densenet121.ra_in1k", "DenseNet", 33),
    Case("densenet161.tv_in1k", "DenseNet"),
    quick("regnetx_002.pycls_in1k", "RegNetX"),
    quick("regnetx_004_tv.tv2_in1k", "RegNetX"),
    quick("regnety_002.pycls_in1k", "RegNetY"),
    Case("regnety_008_tv.tv2_in1k", "RegNetY"),
    Case("regnety_016.tv2_in1k", "RegNetY"),
    quick("efficientnet_b0.ra_in1k", "EfficientNet"),
    quick("efficientnet_lite0.ra_in1k", "EfficientNet-Lite"),
    quick("test_efficientnet.r160_in1k", "EfficientNet"),
    quick("tf_efficientnet_b0.ns_jft_in1k", "EfficientNet, SAME", 67),
    quick("tf_efficientnet_lite0.in1k", "EfficientNet-Lite, SAME", 66),
    quick("tf_efficientnetv2_b0.in1k", "EfficientNetV2, SAME", 67),
    Case("efficientnet_b5.sw_in12k_ft_in1k", "EfficientNet"),
    Case("efficientnetv2_rw_t.ra2_in1k", "EfficientNetV2"),
    Case("tf_efficientnetv2_s.in21k_ft_in1k", "EfficientNetV2, SAME", 65),
    quick("convnext_atto.d2_in1k", "ConvNeXt"),
    quick("convnext_femto.d1_in1k", "ConvNeXt", 65),
    quick("test_convnext.r160_in1k", "ConvNeXt"),
    quick("test_convnext2.r160_in1k", "ConvNeXt"),
    quick("convnextv2_atto.fcmae_ft_in1k", "ConvNeXt V2"),
    Case("convnext_tiny.fb_in22k", "ConvNeXt"),
    Case("convnextv2_nano.fcmae", "ConvNeXt V2, features"),
    Case("convnext_tiny.dinov3_lvd1689m", "ConvNeXt, features"),
    Case("convnext_nano.in12k_ft_in1k", "ConvNeXt"),
    sized("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "ViT"),
    sized("vit_tiny_patch16_384.augreg_in21k_ft_in1k", "ViT", 80),
    sized("vit_small_patch32_224.augreg_in21k_ft_in1k", "ViT"),
    sized("vit_xsmall_patch16_clip_224.tinyclip_yfcc15m", "ViT, CLIP"),
    sized("vit_wee_patch16_reg1_gap_256.sbb_in1k", "ViT, registers and mean"),
    sized("vit_little_patch16_reg4_gap_256.sbb_in1k", "ViT, registers and mean"),
    sized("vit_medium_patch16_gap_240.sw_in12k", "ViT, mean"),
    sized("test_vit.r160_in1k", "ViT"),
    sized("test_vit2.r160_in1k", "ViT, registers and mean"),
    sized("vit_small_patch14_dinov2.lvd142m", "DINOv2", 70),
    sized("vit_small_patch14_reg4_dinov2.lvd142m", "DINOv2, registers", 70),
    sized("vit_giant_patch14_dinov2.lvd142m", "DINOv2, gated; two blocks", 28, built=SHORT),
    sized("deit_tiny_patch16_224.fb_in1k", "DeiT"),
    sized("deit_tiny_distilled_patch16_224.fb_in1k", "DeiT, distilled"),
    sized("deit3_small_patch16_224.fb_in1k", "DeiT III"),
    large("vit_base_patch16_clip_quickgelu_224.openai", "ViT, CLIP"),
    large("vit_base_patch32_clip_224.laion2b_ft_in12k_in1k", "ViT, CLIP"),
    large("vit_base_patch32_siglip_gap_256.v2_webli", "ViT, mean"),
    large("vit_base_patch16_224_miil.in21k_ft_in1k", "ViT"),
    large("flexivit_small.1200ep_in1k", "ViT", 80),
    large("eva_large_patch14_196.in22k_ft_in1k", "ViT, mean", 56),
    sized("swin_tiny_patch4_window7_224.ms_in1k", "Swin", 56),
    large("swin_s3_tiny_224.ms_in1k", "Swin", 224),
    Case("vgg11.tv_in1k", "VGG", 224),
    Case("vgg11_bn.tv_in1k", "VGG"),
    Case("inception_v3.tf_in1k", "Inception", 128),
)


def load():
    """timm; skips the calling test where it is not installed."""
    import _torchvision
    import pytest

    _torchvision.load()
    return pytest.importorskip("timm")


def network(case: Case):
    """timm's network of that tag, all its numbers drawn at random, running statistics too."""
    import torch

    timm = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(
            case.tag, pretrained=False, **({"img_size": case.size} if case.sized else {}), **dict(case.built)
        ).eval()
    state = model.state_dict()
    drawn = synthetic.weights({name: tuple(value.shape) for name, value in state.items()})
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(_moderate(name, drawn[name])))
    return model


def _moderate(name: str, values: np.ndarray) -> np.ndarray:
    """Factors of a block (LayerScale) between 0.5 and 1; kernels of blocks with gates so that pictures can be told
    apart in the end (see `synthetic`); all other values as they are.
    """
    if name.endswith(("gamma", "gamma_1", "gamma_2")):
        return (np.abs(values) * 5 + 0.5).clip(0.5, 1)
    if gated := re.match(r"blocks\.\d+\.(\d+)\.conv", name):
        return values * np.float32(1.5 if gated[1] == "0" else 0.8)
    return values


def save(model, folder: Path) -> None:
    """As the Hub has it: model.safetensors and config.json."""
    from timm.models import save_for_hf

    save_for_hf(model, folder, safe_serialization=True)


def write_config(tag: str, folder: Path) -> None:
    """The config.json of a tag alone, beside an empty checkpoint; nothing of the network is built."""
    config = {
        key: value for key, value in load().get_pretrained_cfg(tag).to_dict().items() if value is not None
    }
    about = {
        "architecture": tag.partition(".")[0],
        "num_classes": config["num_classes"],
        "pretrained_cfg": config,
    }
    (folder / "config.json").write_text(json.dumps(about))
    save_file({"nothing": np.zeros(1, np.float32)}, folder / "model.safetensors")


def error(case: Case) -> tuple[float, float]:
    """Largest difference of two pictures' outputs, and largest difference between the pictures, over max |output|."""
    import torch

    import converters

    theirs = network(case)
    images = synthetic.image(case.size, case.size, batch=2)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous()).numpy()
    with tempfile.TemporaryDirectory() as folder:
        save(theirs, Path(folder))
        ours = converters.load(case.tag.partition(".")[0], folder)
    logits = np.asarray(jax.jit(_apply, static_argnums=0)(*nnx.split(ours), images))
    assert logits.shape == expected.shape
    most = np.abs(expected).max()
    return float(np.abs(logits - expected).max() / most), float(np.ptp(expected, axis=0).max() / most)


def _apply(graph, state, images):
    return nnx.merge(graph, state)(images)
