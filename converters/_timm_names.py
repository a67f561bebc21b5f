"""timm's names of arrays, as torchvision spells them.

timm's ResNets, ResNeXts, Wide ResNets, DenseNets and Inception v3 have torchvision's names; what torchvision has not,
such as registers, is called as in the models here.
"""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

_VGG = {"pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.", "head.fc.": "classifier.6."}
_REGNET = {"stem.conv.": "stem.0.", "stem.bn.": "stem.1.", "head.fc.": "fc."}
_REGNET_BLOCK = {
    **{f"conv{n}.conv.": f"f.{letter}.0." for n, letter in enumerate("abc", 1)},
    **{f"conv{n}.bn.": f"f.{letter}.1." for n, letter in enumerate("abc", 1)},
    "se.": "f.se.",
    "downsample.conv.": "proj.0.",
    "downsample.bn.": "proj.1.",
}
_VIT = {
    "cls_token": "class_token",
    "reg_token": "register_tokens",
    "dist_token": "register_tokens",
    "pos_embed": "encoder.pos_embedding",
    "patch_embed.proj.": "conv_proj.",
    "norm_pre.": "encoder.ln_pre.",
    "norm.": "encoder.ln.",
    "head.": "heads.head.",
    "head_dist.": "head_dist.",
}
_VIT_BLOCK = {
    "norm1.": "ln_1.",
    "norm2.": "ln_2.",
    "attn.qkv.weight": "self_attention.in_proj_weight",
    "attn.qkv.bias": "self_attention.in_proj_bias",
    "attn.proj.": "self_attention.out_proj.",
    "mlp.fc1.": "mlp.0.",
    "mlp.fc2.": "mlp.3.",
    "ls1.gamma": "ls_1",
    "ls2.gamma": "ls_2",
    "gamma_1": "ls_1",
    "gamma_2": "ls_2",
}
_CONVNEXT = {"stem.": "features.0.", "head.norm.": "classifier.0.", "head.fc.": "classifier.2."}
_CONVNEXT_BLOCK = {
    "conv_dw.": "block.0.",
    "norm.": "block.2.",
    "mlp.fc1.": "block.3.",
    "mlp.grn.": "block.4.",
    "mlp.fc2.": "block.5.",
    "gamma": "layer_scale",
}
_SWIN = {"patch_embed.proj.": "features.0.0.", "patch_embed.norm.": "features.0.2.", "head.fc.": "head."}
_SWIN_BLOCK = {"mlp.fc1.": "mlp.0.", "mlp.fc2.": "mlp.3."}
_WIDEST = 64  # window: the index of its pairs of positions has a number for each
_EXCITATION = {"se.conv_reduce.": "fc1.", "se.conv_expand.": "fc2."}


def respell(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """`arrays` under torchvision's names and in its shapes where they are of timm's own spelling, else as they are."""
    for mark, family in _FAMILIES.items():
        if mark in arrays:
            return family(arrays)
    return dict(arrays)


def _vgg(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """timm's VGGs end in convolutions that cover the whole map: torchvision's matrices, not yet flattened."""
    wide = ("pre_logits.fc1.weight", "pre_logits.fc2.weight")
    return {_renamed(key, _VGG): _matrix(value) if key in wide else value for key, value in arrays.items()}


def _regnet(arrays: Mapping[str, np.ndarray]) -> Arrays:
    def name(key: str) -> str:
        if found := re.fullmatch(r"s(\d)\.b(\d+)\.(.+)", key):
            stage, number, rest = found[1], int(found[2]) - 1, found[3]
            return f"trunk_output.block{stage}.block{stage}-{number}.{_renamed(rest, _REGNET_BLOCK)}"
        return _renamed(key, _REGNET)

    return once((name(key), value) for key, value in arrays.items())


def _vit(arrays: Mapping[str, np.ndarray]) -> Arrays:
    def name(key: str) -> str:
        if found := re.fullmatch(r"blocks\.(\d+)\.(.+)", key):
            return f"encoder.layers.encoder_layer_{found[1]}.{_renamed(found[2], _VIT_BLOCK)}"
        return _renamed(key, _VIT)

    return once((name(key), value) for key, value in arrays.items())


def _convnext(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The MLPs of some are convolutions of 1x1; the factors of the blocks have three axes in torchvision."""

    def name(key: str) -> str:
        if found := re.fullmatch(r"stages\.(\d+)\.downsample\.(.+)", key):
            return f"features.{2 * int(found[1])}.{found[2]}"
        if found := re.fullmatch(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)", key):
            return f"features.{2 * int(found[1]) + 1}.{found[2]}.{_renamed(found[3], _CONVNEXT_BLOCK)}"
        return _renamed(key, _CONVNEXT)

    def value(key: str, x: np.ndarray) -> np.ndarray:
        if key.endswith(".gamma") and x.ndim == 1:
            return x.reshape(-1, 1, 1)
        return _matrix(x) if ".mlp.fc" in key else x

    return once((name(key), value(key, each)) for key, each in arrays.items())


def _swin(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """What follows from the window is left out or kept by timm's versions, and made anew here."""
    from jaxcam.models._attention import (
        relative_position_index,  # here, so that reading a file does without flax
    )

    # At first a stage ended in the merging of patches that the next one begins with now.
    later = 0 if "head.fc.weight" in arrays else 1

    def name(key: str) -> str:
        if found := re.fullmatch(r"layers\.(\d+)\.downsample\.(.+)", key):
            return f"features.{2 * (int(found[1]) + later)}.{found[2]}"
        if found := re.fullmatch(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)", key):
            return f"features.{2 * int(found[1]) + 1}.{found[2]}.{_renamed(found[3], _SWIN_BLOCK)}"
        return _renamed(key, _SWIN)

    kept = {
        key: x for key, x in arrays.items() if not key.endswith((".relative_position_index", ".attn_mask"))
    }
    respelt = once((name(key), x) for key, x in kept.items())
    table = ".relative_position_bias_table"
    for key in [key for key in respelt if key.endswith(table)]:
        rows = respelt[key].shape[:1]
        window = (math.isqrt(*rows) + 1) // 2 if rows else 0
        if window <= _WIDEST and rows == ((2 * window - 1) ** 2,):
            index = relative_position_index(window).reshape(-1)
            respelt[f"{key.removesuffix(table)}.relative_position_index"] = index
    return respelt


def _efficientnet(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Of a block timm numbers the norms, torchvision the convolutions, each with its norm and its activation."""
    blocks = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")
    found = {key: match for key in arrays if (match := blocks.fullmatch(key))}
    layers: dict[tuple[str, str], set[str]] = {}
    for match in found.values():
        layers.setdefault((match[1], match[2]), set()).add(match[3].partition(".")[0])
    last = max(int(match[1]) for match in found.values()) + 2
    outer = {
        "conv_stem.": "features.0.0.",
        "bn1.": "features.0.1.",
        "conv_head.": f"features.{last}.0.",
        "bn2.": f"features.{last}.1.",
        "classifier.": "classifier.1.",
    }

    def name(key: str) -> str:
        if (match := found.get(key)) is None:
            return _renamed(key, outer)
        place, rest = (match[1], match[2]), match[3]
        inner = _renamed(rest, _mbconv(layers[place]))
        return f"features.{int(place[0]) + 1}.{place[1]}.block.{inner}"

    return once((name(key), value) for key, value in arrays.items())


def _mbconv(layers: set[str]) -> dict[str, str]:
    """timm's names of a block's arrays -> torchvision's, by the layers that the block has."""
    order = ["conv", "conv_exp"] if layers & {"conv", "conv_exp"} else []
    if not order:
        order = ["conv_pw", "conv_dw"] if "conv_pwl" in layers else ["conv_dw"]
    order = [each for each in order if each in layers]
    order += ["se"] if "se" in layers else []
    order += ["conv_pwl" if "conv_pwl" in layers else "conv_pw"] if layers & {"conv_pwl", "conv_pw"} else []
    names, norms = {}, 0
    for number, layer in enumerate(order):
        if layer == "se":
            names |= {old: f"{number}.{new}" for old, new in _EXCITATION.items()}
        else:
            norms += 1
            names |= {f"{layer}.": f"{number}.0.", f"bn{norms}.": f"{number}.1."}
    return names


_FAMILIES = {
    "pre_logits.fc1.weight": _vgg,
    "s1.b1.conv1.conv.weight": _regnet,
    "blocks.0.attn.qkv.weight": _vit,
    "stages.0.blocks.0.conv_dw.weight": _convnext,
    "layers.0.blocks.0.attn.relative_position_bias_table": _swin,
    "blocks.0.0.bn1.weight": _efficientnet,
}


def once(pairs: Iterable[tuple[str, np.ndarray]]) -> Arrays:
    """The arrays by name. Raises ValueError where two have the same."""
    found: Arrays = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("holds arrays under two spellings of one name")
        found[name] = value
    return found


def _renamed(key: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _matrix(x: np.ndarray) -> np.ndarray:
    """The weights of a convolution as those of a linear layer of the same inputs."""
    return x.reshape(len(x), math.prod(x.shape[1:])) if x.ndim == 4 else x
