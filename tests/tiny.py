"""Small members of the transformers' families, which models.names() has not: a second each instead of ten."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxcam import models
from jaxcam.models._architecture import Architecture
from jaxcam.models._registry import TABLE


def _shrunk(name: str, layer: str, **options: Any) -> Architecture:
    whole = TABLE[name]
    return dataclasses.replace(whole, options={**whole.options, **options}, layer=layer)


_SWIN = {"width": 16, "depths": (2, 2), "heads": (2, 4), "window": 3}
# Windows of 3 neither cover a map of 8x10 patches nor are as large as its half: it is padded, and shifted.
SIZES = {"tiny_vit": (32, 32), "tiny_swin": (33, 40), "tiny_swin_v2": (33, 40), "tiny_maxvit": (32, 32)}
ARCHITECTURES = {
    "tiny_vit": _shrunk(
        "vit_b_16",
        "encoder.layers.encoder_layer_10.ln_1",
        image_size=32,
        patch=8,
        depth=11,
        width=32,
        heads=4,
        hidden=64,
    ),
    "tiny_swin": _shrunk("swin_t", "norm", **_SWIN),
    "tiny_swin_v2": _shrunk("swin_v2_t", "norm", **_SWIN),
    "tiny_maxvit": _shrunk(
        "maxvit_t",
        "blocks.1",
        image_size=32,
        stem=16,
        channels=(32, 64),
        depths=(2, 1),
        partition=2,
    ),
}


def build(name: str, *, num_classes: int = 7, **options: Any) -> nnx.Module:
    """`models.build`, for the names in ARCHITECTURES too."""
    if name not in ARCHITECTURES:
        return models.build(name, num_classes=num_classes, **options)
    chosen = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)} | options
    architecture = ARCHITECTURES[name]
    return architecture.model(num_classes=num_classes, **chosen, **architecture.options)


def torch_model(name: str, num_classes: int):
    """The same in torchvision."""
    import _torchvision

    family = _torchvision.load().models
    options = ARCHITECTURES[name].options
    if name == "tiny_vit":
        return family.VisionTransformer(
            image_size=options["image_size"],
            patch_size=options["patch"],
            num_layers=options["depth"],
            num_heads=options["heads"],
            hidden_dim=options["width"],
            mlp_dim=options["hidden"],
            num_classes=num_classes,
        )
    if name == "tiny_maxvit":
        return family.MaxVit(
            input_size=(options["image_size"],) * 2,
            stem_channels=options["stem"],
            partition_size=options["partition"],
            block_channels=list(options["channels"]),
            block_layers=list(options["depths"]),
            head_dim=32,
            stochastic_depth_prob=0.2,
            num_classes=num_classes,
        )
    module = family.swin_transformer
    second = name == "tiny_swin_v2"
    return family.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=options["width"],
        depths=list(options["depths"]),
        num_heads=list(options["heads"]),
        window_size=[options["window"]] * 2,
        num_classes=num_classes,
        block=module.SwinTransformerBlockV2 if second else module.SwinTransformerBlock,
        downsample_layer=module.PatchMergingV2 if second else module.PatchMerging,
    )
