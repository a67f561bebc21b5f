"""From the arguments of timm's classes to the options of the models here, one function a family."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from flax import nnx

from .._layers import BatchNorm, Gelu, GeluTanh, QuickGelu, Relu, Relu6, Silu
from ..convnext import ConvNeXt
from ..densenet import DenseNet
from ..efficientnet import EfficientNet, Stage
from ..inception import InceptionV3
from ..regnet import RegNet
from ..resnet import BasicBlock, Bottleneck, ResNet
from ..swin import SwinTransformer
from ..vgg import DEPTHS, VGG, default_layer
from ..vit import Variant, VisionTransformer
from ._features import Features, NotServed, in_words

_ACTIVATIONS = {
    "GELU": Gelu,
    "gelu": Gelu,
    "gelu_tanh": GeluTanh,
    "quick_gelu": QuickGelu,
    "relu": Relu,
    "ReLU": Relu,
    "ReLU6": Relu6,
    "silu": Silu,
    "SiLU": Silu,
}
_SWITCH = {False: False, True: True}


class Built(NamedTuple):
    """A model's class, its options and its default layer."""

    model: Callable[..., nnx.Module]
    options: Mapping[str, Any]
    layer: str


def _resnet(features: Features) -> Built:
    width = features.read("stem_width", 64)
    stems = {
        "": None,
        "deep": (width, width, 2 * width),
        "deep_tiered": (3 * (width // 4), width, 2 * width),
    }
    options = {
        "block": features.choose("block", None, {"BasicBlock": BasicBlock, "Bottleneck": Bottleneck}),
        "depths": tuple(features.read("layers")),
        "groups": features.read("cardinality", 1),
        "group_width": features.read("base_width", 64),
        "stem": features.choose("stem_type", "", stems),
        "stem_pool": not features.read("replace_stem_pool", False),
        "means": features.read("avg_down", False),
        "squeeze": _excitation(features.read("block_args", {})),
    }
    return Built(ResNet, options, "layer4")


def _excitation(arguments: Mapping[str, Any]) -> float | None:
    """The part of a block's channels that its squeeze and excitation has."""
    layer = arguments.get("attn_layer")
    if isinstance(layer, Mapping) and layer.keys() == {"of", "rd_ratio"} and layer["of"] == "SEModule":
        return layer["rd_ratio"]
    if arguments.keys() - {"attn_layer"} or layer not in (None, "se"):
        raise NotServed(f"attention of the kind {layer} (block_args)")
    return None if layer is None else 1 / 16


def _convnext(features: Features) -> Built:
    features.read("conv_mlp")  # the same numbers in another shape
    options = {
        "depths": tuple(features.read("depths")),
        "widths": tuple(features.read("dims")),
        "rate": 0.0,
        "epsilon": features.read("norm_eps", None) or 1e-6,
        "activation": features.choose("act_layer", "gelu", _ACTIVATIONS),
        "responses": features.read("use_grn", False),
    }
    if (features.read("ls_init_value", 1e-6) is None) != options["responses"]:
        raise NotServed("blocks of this kind (use_grn, ls_init_value)")
    return Built(ConvNeXt, options, "features")


def _vit(features: Features) -> Built:
    width, depth = features.read("embed_dim", 768), features.read("depth", 12)
    pool = features.choose("global_pool", "token", {"token": "token", "avg": "mean"})
    norm = features.read("fc_norm")
    where = "after" if (pool == "mean" if norm is None else norm) else "before"
    distilled = features.read("distilled", False)
    variant = Variant(
        class_token=features.read("class_token", True),
        registers=features.read("reg_tokens", 0) + distilled,
        distilled=distilled,
        places="patches" if features.read("no_embed_class", False) else "all",
        bias=features.read("qkv_bias", True),
        pre_norm=features.read("pre_norm", False),
        layer_scale=features.read("init_values") is not None,
        pool=pool,
        norm=where if features.read("final_norm", True) else "none",
        epsilon=_epsilon(features.read("norm_layer"), "LayerNorm", 1e-6),
        activation=features.choose("act_layer", "gelu", _ACTIVATIONS | {None: Gelu}),
        gated=_is_gated(features.read("mlp_layer")),
    )
    options = {
        "patch": features.read("patch_size", 16),
        "depth": depth,
        "width": width,
        "heads": features.read("num_heads", 12),
        "hidden": int(width * features.read("mlp_ratio", 4)),
        "image_size": _side(features.read("img_size"), features.read("size", 224)),
        "variant": variant,
    }
    for switch in ("dynamic_img_size", "dynamic_img_pad"):
        features.read(switch)  # images of one size are taken, that of the table of positions
    return Built(VisionTransformer, options, f"encoder.layers.encoder_layer_{depth - 1}.ln_1")


def _is_gated(layer: Any) -> bool:
    """Whether the MLPs are DINOv2's SwiGLU, of which the first half of the hidden channels has the activation."""
    if layer not in (None, {"of": "GluMlp", "act_layer": "SiLU", "gate_last": False}):
        raise NotServed(in_words("mlp_layer", layer))
    return layer is not None


def _side(given: Any, default: int) -> int:
    rows, columns = given if isinstance(given, list) else (given, given)
    if rows != columns:
        raise NotServed(f"pictures of unequal sides (img_size={given})")
    return default if rows is None else rows


def _epsilon(norm: Any, kind: str, default: float) -> float:
    """The epsilon of a norm of the right kind: `{"of": "LayerNorm", "eps": 1e-5}`."""
    if norm is None or norm == kind:
        return default if norm is None else 1e-5
    if not isinstance(norm, Mapping) or norm["of"] != kind or norm.keys() - {"of", "eps"}:
        raise NotServed(f"norm of the kind {norm['of'] if isinstance(norm, Mapping) else norm} (norm_layer)")
    return norm.get("eps", 1e-5)


def _swin(features: Features) -> Built:
    if (patch := features.read("patch_size", 4)) != 4:
        raise NotServed(f"patches of {patch}x{patch}")
    depths, windows = tuple(features.read("depths")), features.read("window_size", 7)
    side = _side(features.read("img_size"), features.read("size", 224)) // 4
    sides = []  # a window is no larger than the map that timm built the stage for
    for window in windows if isinstance(windows, list) else [windows] * len(depths):
        sides.append(min(window, side))
        if side % sides[-1]:  # timm shifts a map before it pads it, torchvision and jaxcam after
            raise NotServed(f"windows of {window} that do not cover a map of {side}")
        side = -(-side // 2)
    options = {
        "width": features.read("embed_dim", 96),
        "depths": depths,
        "heads": tuple(features.read("num_heads")),
        "window": sides[0] if len(set(sides)) == 1 else tuple(sides),
    }
    return Built(SwinTransformer, options, "norm")


def _densenet(features: Features) -> Built:
    growth = features.read("growth_rate", 32)
    options = {"depths": tuple(features.read("block_config")), "growth": growth, "stem": 2 * growth}
    return Built(DenseNet, options, "relu")


def _vgg(features: Features) -> Built:
    stages, norm = "".join("M" if each == "M" else "c" for each in features.read("model_cfg")), "norm_layer"
    depths = tuple(len(stage) for stage in stages.split("M")[:-1])
    if depths not in DEPTHS.values():
        raise NotServed(f"stages of {depths} convolutions")
    options = {
        "depths": depths,
        "batch_norm": features.choose(norm, None, {None: False, "BatchNorm2d": True}),
    }
    return Built(VGG, options, default_layer(**options))


def _regnet(features: Features) -> Built:
    widths, groups = features.read("widths"), features.read("groups")
    options = {
        "depths": tuple(features.read("depths")),
        "widths": tuple(widths),
        "group_width": max(groups),
        "squeeze": features.choose("se_ratio", 0.0, {0.0: False, 0.25: True}),
    }
    if any(group != min(max(groups), width) for group, width in zip(groups, widths, strict=True)):
        raise NotServed(f"groups of {groups} channels")
    return Built(RegNet, options, "trunk_output")


def _efficientnet(features: Features) -> Built:
    for name in features.read("block_args", []):
        raise NotServed(in_words(name, "other"))
    stages = []
    for kind, kernel, stride, expansion, outputs, squeeze, blocks in features.read("stages"):
        fused = kind in ("er", "cn")
        usual = {"ds": expansion == 1, "ir": expansion > 1, "er": expansion > 1, "cn": expansion == 1}
        if not usual.get(kind) or expansion != int(expansion) or (fused and squeeze):
            raise NotServed(f"blocks of the kind {kind} that widen {expansion} times")
        stages.append(Stage(int(expansion), kernel, stride, outputs, blocks, fused, squeeze))
    options = {
        "stem": features.read("stem"),
        "stages": tuple(stages),
        "last": features.read("num_features"),
        "rate": 0.0,
        "norm": partial(BatchNorm, epsilon=_epsilon(features.read("norm_layer"), "BatchNorm2d", 1e-5)),
        "activation": features.choose("act_layer", None, _ACTIVATIONS),
        "same": features.choose("pad_type", "", {"": False, "same": True}),
    }
    return Built(EfficientNet, options, "features")


def _inception(features: Features) -> Built:
    return Built(InceptionV3, {"transformed": False}, "Mixed_7c")


FAMILIES: Mapping[str, Callable[[Features], Built]] = {
    "resnet": _resnet,
    "convnext": _convnext,
    "vit": _vit,
    "swin": _swin,
    "densenet": _densenet,
    "vgg": _vgg,
    "regnet": _regnet,
    "efficientnet": _efficientnet,
    "inception": _inception,
}
