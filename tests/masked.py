"""Masks and scores once more in float64 NumPy, and a counter of forward passes."""

import jax
import jax.numpy as jnp
import numpy as np
from nets import analytic

import jaxcam


def unit(maps):
    """N(m) of each map of the last two axes."""
    low, high = maps.min(axis=(-2, -1), keepdims=True), maps.max(axis=(-2, -1), keepdims=True)
    return np.where(high > low, (maps - low) / np.where(high > low, high - low, 1), 0)


def up(maps, size, *, align_corners=False):
    """Bilinear, pixel by pixel."""
    places = []
    for old, new in zip(maps.shape[-2:], size, strict=True):
        at = np.linspace(0, old - 1, new) if align_corners else (np.arange(new) + 0.5) * old / new - 0.5
        places.append(np.clip(at, 0, old - 1))
    rows, columns = np.meshgrid(*places, indexing="ij")
    r, c = rows.astype(int), columns.astype(int)
    below, right = np.minimum(r + 1, maps.shape[-2] - 1), np.minimum(c + 1, maps.shape[-1] - 1)
    fr, fc = rows - r, columns - c
    top = maps[..., r, c] * (1 - fc) + maps[..., r, right] * fc
    return top * (1 - fr) + (maps[..., below, c] * (1 - fc) + maps[..., below, right] * fc) * fr


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def halved(seed=0, *, h=4, w=5, K=6, classes=3, image=(9, 11), dtype=np.float64, positive=True):
    """A split probe whose layer is a fixed linear look at the image, and its head a smooth function of the layer.

    Returns the probe, an image, its activation, and the logits of any image, both in NumPy.
    """
    rng = np.random.default_rng(seed)
    look = rng.normal(size=(h * w * K, image[0] * image[1] * 3)).astype(dtype) / 10
    read = rng.normal(size=(h * w * K, classes)).astype(dtype) / 3
    fold = np.abs if positive else lambda a: a
    jfold = jnp.abs if positive else lambda a: a

    def features(x):
        return jfold(jnp.asarray(look) @ x.reshape(-1)).reshape(1, h, w, K)

    def head(a):
        return jnp.tanh(a.reshape(1, -1)) @ jnp.asarray(read)

    def activation(x):
        return fold(look @ np.asarray(x).reshape(-1)).reshape(h, w, K)

    def logits(x):
        return np.tanh(activation(x).reshape(-1)) @ read

    picture = rng.normal(size=(*image, 3)).astype(dtype)
    return jaxcam.probe(split=(features, head)), picture, activation(picture), logits


def planted(blob, *, size=12, blobs=4, copies=3, noise=0.02, seed=0):
    """Channels are noisy copies of disjoint blobs of the picture; the classifier reads only blob `blob`.

    Returns the probe, a picture of ones, the blobs `(blobs, size, size)`, and which blob each channel shows.
    """
    rng = np.random.default_rng(seed)
    squares = np.zeros((blobs, size, size))
    side = size // 2
    for number in range(blobs):
        top, left = side * (number // 2), side * (number % 2)
        squares[number, top + 1 : top + side - 1, left + 1 : left + side - 1] = 1
    which = rng.permutation(np.repeat(np.arange(blobs), copies))
    gains = rng.uniform(0.5, 2.0, size=which.size)
    shown = gains[:, None, None] * squares[which] + noise * rng.uniform(size=(which.size, size, size))
    shown = jnp.asarray(np.moveaxis(shown, 0, -1))
    spot = jnp.asarray(squares[blob])

    def features(x):
        return shown[None] + 0 * x[..., :1]

    def classify(images):
        seen = jnp.mean(images[..., 0] * spot[None], axis=(1, 2)) / jnp.mean(spot)
        return jnp.stack([6 * seen - 3, 0 * seen], axis=-1)

    # the classifier reads the picture, not the layer, so it travels beside the layer's channels
    def both(x):
        return jnp.concatenate([features(x), x], axis=-1)

    probe = jaxcam.probe(split=(both, lambda a: classify(a[..., -3:])))
    return probe, jnp.ones((size, size, 3)), squares, which


def counted(features, head):
    """A split probe that counts the images whose head runs."""
    seen = []

    def tell(a):
        jax.debug.callback(lambda _: seen.append(1), a.reshape(-1)[0])
        return head(a)

    return jaxcam.probe(split=(features, tell)), seen


__all__ = ["analytic", "counted", "halved", "planted", "softmax", "unit", "up"]
