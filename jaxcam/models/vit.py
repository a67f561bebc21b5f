"""Vision Transformer (Dosovitskiy et al., 2021, arXiv:2010.11929) as in torchvision.

torchvision has no IMAGENET1K_V1 weights of vit_h_14; its row is of IMAGENET1K_SWAG_LINEAR_V1, of the same size.
"""

from typing import Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._attention import TABLE_INIT, Mlp, attend, split_heads
from ._conv import Conv, check_map
from ._layers import LayerNorm, Linear, NamedSequential, dropout
from ._options import Options
from ._preprocess import IMAGENET, SWAG_LINEAR, Preprocess


class SelfAttention(nnx.Module):
    """Attention among all tokens; one matrix makes queries, keys and values, and lies as torch has it."""

    def __init__(self, width: int, heads: int, **options: Unpack[Options]):
        init, stored = nnx.initializers.xavier_uniform(), options["param_dtype"]
        self.in_proj_weight = nnx.Param(init(options["rngs"].params(), (3 * width, width), stored))
        self.in_proj_bias = nnx.Param(jnp.zeros((3 * width,), stored))
        self.out_proj = Linear(width, width, **options)
        self.heads, self.dtype = heads, options["dtype"]

    def __call__(self, x):
        weight, bias = (each[...].astype(self.dtype) for each in (self.in_proj_weight, self.in_proj_bias))
        qkv = jnp.einsum("btc,dc->btd", x.astype(self.dtype), weight) + bias.reshape(1, 1, -1)
        q, k, v = split_heads(qkv, self.heads)
        return self.out_proj(attend(q, k, v, scale=q.shape[-1] ** -0.5))


class EncoderBlock(nnx.Module):
    def __init__(self, width: int, heads: int, hidden: int, **options: Unpack[Options]):
        self.ln_1 = LayerNorm(width, epsilon=1e-6, **options)
        self.self_attention = SelfAttention(width, heads, **options)
        self.dropout = dropout(0.0)
        self.ln_2 = LayerNorm(width, epsilon=1e-6, **options)
        self.mlp = Mlp(width, hidden, **options)

    def __call__(self, x):
        x = x + self.dropout(self.self_attention(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


class Encoder(nnx.Module):
    def __init__(
        self, tokens: int, depth: int, width: int, heads: int, hidden: int, **options: Unpack[Options]
    ):
        table = TABLE_INIT(options["rngs"].params(), (1, tokens, width), options["param_dtype"])
        self.pos_embedding = nnx.Param(table)
        self.dropout = dropout(0.0)
        self.layers = NamedSequential(
            {f"encoder_layer_{i}": EncoderBlock(width, heads, hidden, **options) for i in range(depth)}
        )
        self.ln = LayerNorm(width, epsilon=1e-6, **options)

    def __call__(self, x):
        x = x + self.pos_embedding[...].astype(x.dtype)
        return self.ln(self.layers(self.dropout(x)))


class VisionTransformer(nnx.Module):
    """`patch`, `image_size`: sides in pixels; `hidden`: width of the MLPs.

    Images have the one size that the table of positions is for; any other is a ValueError.
    """

    leading_tokens = 1  # the class token, which has no position in a map

    def __init__(
        self,
        *,
        patch: int,
        depth: int,
        width: int,
        heads: int,
        hidden: int,
        image_size: int = 224,
        num_classes: int,
        **options: Unpack[Options],
    ):
        self.patch, self.image_size = patch, image_size
        self.conv_proj = Conv(3, width, patch, stride=patch, **options)
        self.class_token = nnx.Param(jnp.zeros((1, 1, width), options["param_dtype"]))
        tokens = self.leading_tokens + (image_size // patch) ** 2
        self.encoder = Encoder(tokens, depth, width, heads, hidden, **options)
        self.heads = NamedSequential({"head": Linear(width, num_classes, **options)})

    def __call__(self, x):
        self._check_size(x)
        x = self.conv_proj(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        token = jnp.broadcast_to(self.class_token[...].astype(x.dtype), (x.shape[0], 1, x.shape[-1]))
        x = self.encoder(jnp.concatenate([token, x], axis=1))
        return self.heads(x[:, 0])

    def _check_size(self, x):
        check_map(x, 3)
        height, width = x.shape[1:3]
        if (height, width) == (self.image_size, self.image_size):
            return
        problem = f"a {height}x{width} image "
        if height % self.patch or width % self.patch:
            problem += f"does not divide into patches of {self.patch}x{self.patch}"
        else:
            problem += "does not fit the table of positions"
        side = self.image_size // self.patch
        raise ValueError(
            f"{problem}: this model takes {self.image_size}x{self.image_size} images only, "
            f"{side}x{side} patches of {self.patch}x{self.patch}"
        )


def _architecture(
    patch: int, depth: int, width: int, heads: int, preprocess: Preprocess = IMAGENET
) -> Architecture:
    options = {"patch": patch, "depth": depth, "width": width, "heads": heads, "hidden": 4 * width}
    # After the last block the class token alone is read, so that patches have a gradient up to its attention.
    return Architecture(
        model=VisionTransformer,
        options=options,
        layer=f"encoder.layers.encoder_layer_{depth - 1}.ln_1",
        preprocess=preprocess,
    )


ARCHITECTURES = {
    "vit_b_16": _architecture(16, 12, 768, 12),
    "vit_b_32": _architecture(32, 12, 768, 12),
    "vit_l_16": _architecture(16, 24, 1024, 16, Preprocess(resize=242, size=224)),
    "vit_l_32": _architecture(32, 24, 1024, 16),
    "vit_h_14": _architecture(14, 32, 1280, 16, SWAG_LINEAR),
}
