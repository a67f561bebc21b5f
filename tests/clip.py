"""A small CLIP: two towers trained in seconds to tell which of nine objects are in a scene, by their names."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

SIZE, OBJECT = 36, 9
COLOURS = {"red": (0.5, -0.4, -0.4), "green": (-0.4, 0.3, -0.4), "blue": (-0.3, -0.2, 0.5)}
SHAPES = ("circle", "square", "cross")
WORDS = (*COLOURS, *SHAPES)
PROMPTS = tuple(f"{colour} {shape}" for colour, shape in itertools.product(COLOURS, SHAPES))


def tokens(prompts):
    """`(prompts, 2)`: the numbers of their words."""
    return np.array([[WORDS.index(word) for word in prompt.split()] for prompt in prompts])


def scene(rng, count):
    """A grey picture with objects, and by the name of each where its top left corner is."""
    image = np.repeat(rng.uniform(-0.2, 0.1, (SIZE, SIZE, 1)), 3, axis=2)
    corners = {}
    for prompt, place in zip(
        rng.choice(PROMPTS, count, replace=False), rng.choice(9, count, replace=False), strict=True
    ):
        colour, shape = str(prompt).split()
        top, left = (place // 3) * 12 + rng.integers(0, 4), (place % 3) * 12 + rng.integers(0, 4)
        image[top : top + OBJECT, left : left + OBJECT][_drawn(shape)] = COLOURS[colour]
        corners[str(prompt)] = (top, left)
    return image.astype(np.float32), corners


def _drawn(shape):
    y, x = np.mgrid[:OBJECT, :OBJECT] - (OBJECT - 1) / 2
    masks = {"circle": x**2 + y**2 <= (OBJECT / 2) ** 2, "cross": (abs(x) < 2) | (abs(y) < 2)}
    return masks.get(shape, np.ones((OBJECT, OBJECT), bool))


class Clip(nnx.Module):
    """`(images, tokens)` -> embeddings of both, and the similarity of each image with each text."""

    def __init__(self, *, rngs):
        self.stem = nnx.Conv(3, 16, (5, 5), strides=2, rngs=rngs)
        self.body = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.last = nnx.Conv(32, 64, (3, 3), strides=2, rngs=rngs)
        self.project = nnx.Linear(64, 32, rngs=rngs)
        self.words = nnx.Embed(len(WORDS), 32, rngs=rngs)
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.text = nnx.Linear(64, 32, rngs=rngs)
        self.scale = nnx.Param(jnp.array(2.0))
        self.bias = nnx.Param(jnp.array(-2.0))

    def encode_image(self, x):
        for layer in (self.stem, self.body, self.last):
            x = jax.nn.relu(layer(x))
        return self.project(jnp.mean(x, axis=(1, 2)))

    def encode_text(self, ids):
        return self.text(jax.nn.relu(self.hidden(self.words(ids).reshape(len(ids), -1))))

    def __call__(self, images, ids):
        image, text = self.encode_image(images), self.encode_text(ids)
        return {"image": image, "text": text, "similarity": _unit(image) @ _unit(text).T}


def _unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


@functools.cache
@jax.numpy_dtype_promotion("standard")  # as optax counts
def trained(steps=400, batch=64, pool=1024):
    """With SigLIP's loss: of every pair of a scene and a prompt, whether they belong together."""
    rng = np.random.default_rng(0)
    scenes = [scene(rng, rng.integers(1, 4)) for _ in range(pool)]
    images = np.stack([image for image, _ in scenes])
    belongs = np.array([[prompt in corners for prompt in PROMPTS] for _, corners in scenes], np.float32)
    graph, state = nnx.split(Clip(rngs=nnx.Rngs(0)))
    adam = optax.adam(5e-3)

    def loss(state, images, belongs):
        model = nnx.merge(graph, state)
        logits = jnp.exp(model.scale[...]) * model(images, tokens(PROMPTS))["similarity"] + model.bias[...]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, belongs))

    @jax.jit
    def step(state, memory, images, belongs):
        updates, memory = adam.update(jax.grad(loss)(state, images, belongs), memory, state)
        return optax.apply_updates(state, updates), memory

    memory = adam.init(state)
    for _ in range(steps):
        chosen = rng.integers(0, pool, batch)
        state, memory = step(state, memory, images[chosen], belongs[chosen])
    return nnx.merge(graph, state)
