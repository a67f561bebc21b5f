"""A small vision transformer for the same scenes, and its shipped weights: what the methods for attention explain."""

from pathlib import Path

import jax.numpy as jnp
from flax import nnx

from ..models._layers import LayerNorm
from ..models.vit import EncoderBlock, Variant
from ._network import Block, restored

VIT_LAYER = "blocks.2.ln_1"  # the last norm whose patches have a gradient: after its block, one token is read
VIT_WEIGHTS = Path(__file__).with_name("vit.safetensors")


class DigitTransformer(nnx.Module):
    """Pictures `(B, H, W, 3)` to ten logits: digit c is somewhere in the picture, each class on its own.

    Three convolutions make a token of every 8 x 8 pixels, so that it is trained in minutes; the head reads the class
    token. Positions are sines and cosines of the token's place, so that it takes pictures of any size.
    """

    leading_tokens = 1

    def __init__(self, *, width: int = 64, depth: int = 3, heads: int = 2, rngs: nnx.Rngs):
        self.stem = nnx.Sequential(
            nnx.Conv(3, 48, (4, 4), strides=4, rngs=rngs),
            nnx.BatchNorm(48, momentum=0.9, rngs=rngs),
            nnx.relu,
            Block(48, width, stride=2, rngs=rngs),
            Block(width, width, rngs=rngs),
        )
        self.class_token = nnx.Param(jnp.zeros((1, 1, width)))
        options = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": rngs}
        self.blocks = nnx.List(
            [EncoderBlock(width, heads, 2 * width, variant=Variant(), **options) for _ in range(depth)]
        )
        self.norm = LayerNorm(width, epsilon=1e-6, **options)
        self.classifier = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        x = x + _places(*x.shape[1:])[None]
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        token = jnp.broadcast_to(self.class_token[...], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([token, x], axis=1)
        for block in self.blocks:
            x = block(x)
        return self.classifier(self.norm(x[:, 0]))


def _places(rows: int, columns: int, width: int):
    """Sines and cosines of a token's row and column, `(rows, columns, width)`."""
    rate = jnp.exp(-jnp.linspace(0, 4, width // 4))

    def waves(count: int):
        angle = jnp.arange(count, dtype=jnp.float32)[:, None] * rate[None]
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)

    down = jnp.broadcast_to(waves(rows)[:, None], (rows, columns, width // 2))
    across = jnp.broadcast_to(waves(columns)[None], (rows, columns, width // 2))
    return jnp.concatenate([down, across], axis=-1)


def vit() -> tuple[DigitTransformer, str]:
    """The trained transformer, in float32 and evaluation mode, and the layer of it to probe."""
    return restored(DigitTransformer(rngs=nnx.Rngs(0)), VIT_WEIGHTS), VIT_LAYER
