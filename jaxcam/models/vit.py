"""Vision Transformer (Dosovitskiy et al., 2021, arXiv:2010.11929) as in torchvision.

torchvision has no IMAGENET1K_V1 weights of vit_h_14; its row is of IMAGENET1K_SWAG_LINEAR_V1, of the same size.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, Unpack

import jax.numpy as jnp
from flax import nnx

from ._architecture import Architecture
from ._attention import TABLE_INIT, Mlp, attend, split_heads
from ._conv import Conv, check_map
from ._layers import Gelu, LayerNorm, Linear, NamedSequential, dropout
from ._options import Options
from ._preprocess import IMAGENET, SWAG_LINEAR, Preprocess


class Variant(NamedTuple):
    """What sets timm's vision transformers apart; the defaults are torchvision's.

    Attributes:
        class_token: whether there is one.
        registers: further tokens without a place (Darcet et al., 2024, arXiv:2309.16588).
        places: what has a row in the table of positions: all tokens, or the patches alone.
        bias: whether queries, keys and values have one.
        pre_norm: whether a layer norm stands before the blocks; the patches' convolution then has no bias.
        layer_scale: whether each branch of a block ends in a factor for each channel.
        pool: what the head reads: the class token, or the mean of the patches.
        distilled: whether a second head reads the first register (DeiT's distillation token, Touvron et al., 2021,
            arXiv:2012.12877); the output is the mean of the two.
        norm: where the last layer norm stands: before the pooling, after it, or nowhere.
        epsilon: of the layer norms.
        activation: of the MLPs.
        gated: whether half of an MLP's hidden channels are gates of the other half (SwiGLU).
    """

    class_token: bool = True
    registers: int = 0
    places: Literal["all", "patches"] = "all"
    bias: bool = True
    pre_norm: bool = False
    layer_scale: bool = False
    pool: Literal["token", "mean"] = "token"
    distilled: bool = False
    norm: Literal["before", "after", "none"] = "before"
    epsilon: float = 1e-6
    activation: Callable[[], nnx.Module] = Gelu
    gated: bool = False

    @property
    def leading(self) -> int:
        """Number of tokens before the patches."""
        return int(self.class_token) + self.registers


class SelfAttention(nnx.Module):
    """Attention among all tokens; one matrix makes queries, keys and values, and lies as torch has it."""

    def __init__(self, width: int, heads: int, *, bias: bool, **options: Unpack[Options]):
        init, stored = nnx.initializers.xavier_uniform(), options["param_dtype"]
        self.in_proj_weight = nnx.Param(init(options["rngs"].params(), (3 * width, width), stored))
        self.in_proj_bias = nnx.Param(jnp.zeros((3 * width,), stored)) if bias else None
        self.out_proj = Linear(width, width, **options)
        self.heads, self.dtype = heads, options["dtype"]

    def __call__(self, x):
        qkv = jnp.einsum("btc,dc->btd", x.astype(self.dtype), self.in_proj_weight[...].astype(self.dtype))
        if self.in_proj_bias is not None:
            qkv = qkv + self.in_proj_bias[...].astype(self.dtype).reshape(1, 1, -1)
        q, k, v = split_heads(qkv, self.heads)
        return self.out_proj(attend(q, k, v, scale=q.shape[-1] ** -0.5))


class EncoderBlock(nnx.Module):
    def __init__(self, width: int, heads: int, hidden: int, *, variant: Variant, **options: Unpack[Options]):
        norm = partial(LayerNorm, width, epsilon=variant.epsilon, **options)
        self.ln_1 = norm()
        self.self_attention = SelfAttention(width, heads, bias=variant.bias, **options)
        self.dropout = dropout(0.0)
        self.ls_1 = _factors(width, **options) if variant.layer_scale else None
        self.ln_2 = norm()
        self.mlp = Mlp(width, hidden, activation=variant.activation, gated=variant.gated, **options)
        self.ls_2 = _factors(width, **options) if variant.layer_scale else None

    def __call__(self, x):
        x = x + self.dropout(_scaled(self.self_attention(self.ln_1(x)), self.ls_1))
        return x + _scaled(self.mlp(self.ln_2(x)), self.ls_2)


def _factors(width: int, **options: Unpack[Options]) -> nnx.Param:
    return nnx.Param(jnp.full((width,), 1e-5, options["param_dtype"]))


def _scaled(x, factors: nnx.Param | None):
    return x if factors is None else x * factors[...].astype(x.dtype).reshape(1, 1, -1)


class Encoder(nnx.Module):
    """Positions, the blocks and the last layer norm; `tokens`: rows of the table of positions."""

    def __init__(
        self,
        tokens: int,
        depth: int,
        width: int,
        heads: int,
        hidden: int,
        *,
        variant: Variant,
        **options: Unpack[Options],
    ):
        table = TABLE_INIT(options["rngs"].params(), (1, tokens, width), options["param_dtype"])
        norm = partial(LayerNorm, width, epsilon=variant.epsilon, **options)
        self.pos_embedding = nnx.Param(table)
        self.dropout = dropout(0.0)
        self.ln_pre = norm() if variant.pre_norm else None
        self.layers = NamedSequential(
            {
                f"encoder_layer_{i}": EncoderBlock(width, heads, hidden, variant=variant, **options)
                for i in range(depth)
            }
        )
        self.ln = norm() if variant.norm == "before" else None

    def __call__(self, x):
        table = self.pos_embedding[...].astype(x.dtype)
        # Leading tokens that the table has no rows for get none.
        x = x + jnp.pad(table, ((0, 0), (x.shape[1] - table.shape[1], 0), (0, 0)))
        x = self.dropout(x)
        x = self.layers(x if self.ln_pre is None else self.ln_pre(x))
        return x if self.ln is None else self.ln(x)


class VisionTransformer(nnx.Module):
    """`patch`, `image_size`: sides in pixels; `hidden`: width of the MLPs; `variant`: what timm's have otherwise.

    Images have the one size that the table of positions is for; any other is a ValueError. Without classes the output
    is the features that a head would read.
    """

    headless = True  # num_classes may be 0

    def __init__(
        self,
        *,
        patch: int,
        depth: int,
        width: int,
        heads: int,
        hidden: int,
        image_size: int = 224,
        variant: Variant = Variant(),  # noqa: B008  (it never changes)
        num_classes: int,
        **options: Unpack[Options],
    ):
        self.patch, self.image_size, self.pool = patch, image_size, variant.pool
        self.leading_tokens = variant.leading  # tokens that have no position in a map
        self.table_tokens = variant.leading if variant.places == "all" else 0  # ... and a row in the table
        self.conv_proj = Conv(3, width, patch, stride=patch, bias=not variant.pre_norm, **options)
        stored = options["param_dtype"]
        self.class_token = nnx.Param(jnp.zeros((1, 1, width), stored)) if variant.class_token else None
        count = variant.registers
        self.register_tokens = nnx.Param(jnp.zeros((1, count, width), stored)) if count else None
        tokens = self.table_tokens + (image_size // patch) ** 2
        self.encoder = Encoder(tokens, depth, width, heads, hidden, variant=variant, **options)
        after = variant.norm == "after"
        self.fc_norm = LayerNorm(width, epsilon=variant.epsilon, **options) if after else None
        head = partial(Linear, width, num_classes, **options) if num_classes else partial(NamedSequential, {})
        self.heads = NamedSequential({"head": head()})
        self.head_dist = head() if variant.distilled else None

    def __call__(self, x):
        self._check_size(x)
        x = self.conv_proj(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        leading = [
            jnp.broadcast_to(each[...].astype(x.dtype), (x.shape[0], *each.shape[1:]))
            for each in (self.class_token, self.register_tokens)
            if each is not None
        ]
        x = self.encoder(jnp.concatenate([*leading, x], axis=1))
        if self.head_dist is not None:
            return (self.heads(x[:, 0]) + self.head_dist(x[:, 1])) / 2
        x = x[:, 0] if self.pool == "token" else x[:, self.leading_tokens :].mean(1)
        return self.heads(x if self.fc_norm is None else self.fc_norm(x))

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
