"""A small vision transformer as a plain function, with the attention of its blocks as an argument."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxcam

GRID, WIDTH, HEADS, CLASSES = (3, 4), 8, 2, 4
SIZE = (6, 8)  # patches of 2


def parameters(depth=3, *, leading=1, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def draw(*shape, scale=0.5):
        return (scale * rng.normal(size=shape)).astype(dtype)

    def block():
        names = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "out": (WIDTH, WIDTH)}
        names |= {"up": (WIDTH, 2 * WIDTH), "down": (2 * WIDTH, WIDTH)}
        return {name: draw(*shape) for name, shape in names.items()}

    return {
        "patches": draw(2, 2, 3, WIDTH),
        "tokens": draw(1, leading, WIDTH),
        "places": draw(1, leading + GRID[0] * GRID[1], WIDTH),
        "blocks": [block() for _ in range(depth)],
        "classes": draw(WIDTH, CLASSES),
    }


def picture(seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(*SIZE, 3)).astype(dtype)


def plain(q, k, v):
    """Attention among tokens `(1, tokens, heads, width)`."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), v)


def split(x):
    return x.reshape(*x.shape[:2], HEADS, -1)


def norm(x):
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def block(weights, x, attend=plain):
    y = norm(x)
    q, k, v = (split(y @ weights[name]) for name in "qkv")
    x = x + attend(q, k, v).reshape(x.shape) @ weights["out"]
    return x + jnp.tanh(norm(x) @ weights["up"]) @ weights["down"]


def embed(params, images):
    x = jax.lax.conv_general_dilated(
        images, params["patches"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = x.reshape(1, -1, WIDTH)
    return jnp.concatenate([params["tokens"], x], axis=1) + params["places"]


def head(params, x):
    """Reads the class token where there are leading tokens, or else the mean of the patches."""
    x = norm(x)
    return (x[:, 0] if params["tokens"].shape[1] else jnp.mean(x, axis=1)) @ params["classes"]


def logits(params, images, *, attend=plain):
    x = jaxcam.tap(embed(params, images), "tokens")
    for weights in params["blocks"]:
        x = block(weights, x, attend)
    return head(params, x)


def probe(params, function=logits, **options):
    return jaxcam.probe(function, "tokens", variables=params, tokens=params["tokens"].shape[1], **options)
