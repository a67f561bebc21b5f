"""Prints the table of timm's names, jaxcam/models/_timm/table.json: what timm builds its networks of, by name.

    python tests/models/make_timm.py > jaxcam/models/_timm/table.json

Nothing is built: what each function of timm's hands to its class is written down.
"""

import functools
import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
FAMILIES = {
    "resnet": "resnet",
    "convnext": "convnext",
    "vision_transformer": "vit",
    "deit": "vit",
    "swin_transformer": "swin",
    "densenet": "densenet",
    "vgg": "vgg",
    "regnet": "regnet",
    "efficientnet": "efficientnet",
}
_NOT_OF_THE_NETWORK = (
    *("cache_dir", "features_only", "pretrained_filter_fn", "feature_cfg", "pretrained_cfg", "kwargs_filter"),
    *("pretrained_cfg_overlay", "pretrained_strict", "zero_init_last", "weight_init", "dynamic_img_size"),
    "img_size",  # the row has it
)


class Built(Exception):
    """What a function of timm's would have built."""


def rows() -> dict[str, dict[str, Any]]:
    """Name -> family, image size, number of classes, and the arguments."""
    import _torchvision

    _torchvision.load()
    import timm

    table: dict[str, dict[str, Any]] = {"inception_v3": {"family": "inception", "size": 299}}
    for module, family in FAMILIES.items():
        file = importlib.import_module(f"timm.models.{module}")
        build, file.build_model_with_cfg = file.build_model_with_cfg, _told
        try:
            for name in timm.list_models(module=module):
                if family == "efficientnet" and "efficientnet" not in name:
                    continue
                try:
                    timm.create_model(name)
                except Built as built:
                    cls, arguments = built.args
                config = timm.get_pretrained_cfg(name)
                row = {"family": family}
                row |= {"size": config.input_size[-1]} if config.input_size[-1] != 224 else {}
                row |= {"classes": config.num_classes} if config.num_classes != 1000 else {}
                arguments = {key: value for key, value in arguments.items() if key not in _NOT_OF_THE_NETWORK}
                if cls == "VisionTransformerDistilled":
                    arguments["distilled"] = True
                table[name] = row | _plain(_WRITTEN.get(family, dict)(arguments))
        finally:
            file.build_model_with_cfg = build
    return table


def _told(cls, variant, pretrained, **arguments):
    raise Built(cls.__name__, arguments)


def _regnet(arguments):
    """The widths, depths and group widths of the stages, which timm computes from a straight line."""
    import dataclasses

    from timm.models.regnet import RegNet

    config = arguments.pop("model_cfg")
    stages, _ = RegNet._get_stage_args(None, config)
    others = dataclasses.asdict(config)
    for key in ("depth", "w0", "wa", "wm", "group_size", "group_min_ratio"):
        del others[key]
    usual = {
        "bottle_ratio": 1.0,
        "se_ratio": 0.0,
        "stem_width": 32,
        "downsample": "conv1x1",
        "linear_out": False,
    }
    usual |= {"preact": False, "num_features": 0, "act_layer": "relu", "norm_layer": "batchnorm"}
    return {
        "depths": [each["depth"] for each in stages],
        "widths": [each["out_chs"] for each in stages],
        "groups": [each["group_size"] for each in stages],
        **{key: value for key, value in others.items() if value != usual[key]},
        **arguments,
    }


def _efficientnet(arguments):
    """Stages of (kind, kernel, stride of the first block, expansion, channels, squeeze and excitation, blocks)."""
    wide = arguments.pop("round_chs_fn", round)
    stem = arguments.pop("stem_size", 32)
    stages, others = [], set()
    for stage in arguments.pop("block_args"):
        blocks = []
        for block in map(dict, stage):
            kind, stride, ratio = (
                block.pop("block_type"),
                block.pop("stride"),
                block.pop("se_ratio", None) or 0,
            )
            kernel = block.pop(_KERNELS.get(kind, "dw_kernel_size"), 0)
            expansion, channels = block.pop("exp_ratio", 1.0), wide(block.pop("out_chs"))
            others |= {key for key, value in block.items() if value and _USUAL.get(key) != value}
            others |= {"se_ratio"} if ratio not in (0, 0.25) else set()
            blocks.append([kind, kernel, stride, expansion, channels, ratio > 0])
        others |= {"blocks"} if any(each != blocks[0] for each in blocks) else set()
        stages.append([*blocks[0], len(blocks)])
    row = {"stem": stem if arguments.pop("fix_stem", False) else wide(stem), "stages": stages, **arguments}
    return row | ({"block_args": sorted(others)} if others else {})


_KERNELS = {"er": "exp_kernel_size", "cn": "kernel_size"}
_USUAL = {"exp_kernel_size": 1, "pw_kernel_size": 1, "skip": True}
_WRITTEN = {"regnet": _regnet, "efficientnet": _efficientnet}


def _plain(value: Any) -> Any:
    """What JSON can hold: a class as its name, a partial as its name and its arguments."""
    if isinstance(value, functools.partial):
        return {"of": value.func.__name__, **_plain(value.keywords)}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if callable(value):
        return value.__name__
    return value if isinstance(value, int | float | str | None) else str(value)


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows().items()]
    print("{", ",\n".join(lines), "}", sep="\n")
