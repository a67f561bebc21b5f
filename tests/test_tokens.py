"""Layers that return tokens are explained as the maps they are a list of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic
import tiny
from flax import nnx
from selection import exhaustive

import converters
import jaxcam
from jaxcam.probes._tokens import as_map

LAYER = "mix"


class Tokens(nnx.Module):
    """Patches of 4x4 behind leading tokens; every token then hears of all others, and the first one decides."""

    def __init__(self, leading, **declared):
        rngs = nnx.Rngs(0)
        self.patches = nnx.Conv(3, 6, (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.first = nnx.Param(jax.random.normal(jax.random.key(1), (1, leading, 6)))
        self.mix = nnx.Linear(6, 6, rngs=rngs)
        self.head = nnx.Linear(6, 5, rngs=rngs)
        for name, value in declared.items():
            setattr(self, name, value)

    def features(self, x):
        x = self.patches(x)
        x = x.reshape(x.shape[0], -1, 6)
        return self.mix(jnp.concatenate([self.first[...].repeat(x.shape[0], 0), x], axis=1))

    def classify(self, x):
        place = jnp.arange(x.shape[1], dtype=x.dtype).reshape(1, -1, 1)
        return self.head(jnp.tanh(x[:, 0] + (jnp.sin(place) * x**2).mean(1)))

    def __call__(self, x):
        return self.classify(self.features(x))


IMAGE = synthetic.image(12, 20)[0]  # 3x5 patches


@pytest.fixture(scope="module")
def model():
    return Tokens(1)


def test_a_map_without_the_leading_token(model):
    output, activation = jaxcam.probe(model, LAYER)(IMAGE)
    tokens = model.features(IMAGE[None])
    np.testing.assert_allclose(activation, tokens[0, 1:].reshape(3, 5, 6), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(output, model.classify(tokens)[0], rtol=1e-5, atol=1e-6)


def test_an_edit_changes_its_place_and_no_leading_token(model):
    tokens = model.features(IMAGE[None])
    output, _ = jaxcam.probe(model, LAYER)(IMAGE, lambda a: a.at[1, 2].add(1))
    np.testing.assert_allclose(
        output, model.classify(tokens.at[0, 1 + 1 * 5 + 2].add(1))[0], rtol=1e-5, atol=1e-6
    )
    output, _ = jaxcam.probe(model, LAYER)(IMAGE, lambda a: a * 0)
    np.testing.assert_allclose(output, model.classify(tokens.at[:, 1:].set(0))[0], rtol=1e-5, atol=1e-6)


def test_the_gradient_is_the_tokens(model):
    look = jax.jit(lambda probe, x: probe.look(x, 2))(jaxcam.probe(model, LAYER), IMAGE)
    gradient = jax.grad(lambda tokens: model.classify(tokens)[0, 2])(model.features(IMAGE[None]))
    np.testing.assert_allclose(look.gradient, gradient[0, 1:].reshape(3, 5, 6), rtol=1e-4, atol=1e-6)


def test_how_many_lead_is_inferred_declared_or_given():
    def seen(model, **options):
        return jax.eval_shape(lambda x: jaxcam.probe(model, LAYER, **options)(x)[1], IMAGE).shape

    assert seen(Tokens(0)) == seen(Tokens(1)) == (3, 5, 6)
    assert seen(Tokens(5), tokens=5) == seen(Tokens(5, leading_tokens=5)) == (3, 5, 6)
    assert seen(Tokens(5, leading_tokens=1), tokens=5) == (3, 5, 6)
    with pytest.raises(ValueError, match=r"with or without one leading token .* tokens=5 leaves 3x5"):
        seen(Tokens(5))
    with pytest.raises(ValueError, match="after 2 leading tokens they do not form a grid"):
        seen(Tokens(1), tokens=2)


def test_maps_stay_maps(model):
    _, activation = jaxcam.probe(model, "patches", tokens=1)(IMAGE)
    np.testing.assert_allclose(activation, model.patches(IMAGE[None])[0], rtol=1e-5, atol=1e-6)


def test_split_takes_tokens_too(model):
    by_path = jaxcam.probe(model, LAYER).look(IMAGE, 1)
    for options in ({}, {"tokens": 1}):
        by_split = jaxcam.probe(split=(model.features, model.classify), **options).look(IMAGE, 1)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), by_split, by_path)


def test_probes_compare_by_value(model):
    first, same, other = (jaxcam.probe(model, LAYER, tokens=n) for n in (1, 1, 5))
    assert first.anatomy == same.anatomy
    assert hash(first.anatomy) == hash(same.anatomy)
    assert first.anatomy != other.anatomy


def test_every_image_on_its_own(model):
    """Under vmap, and through the gradient of a map."""
    probe, images = jaxcam.probe(model, LAYER), synthetic.image(12, 20, batch=3)
    maps = jaxcam.explain(probe, images, 1, method=jaxcam.gradcam, raw=True)
    one = jax.jit(lambda probe, image: jaxcam.gradcam(probe, image, 1))
    np.testing.assert_allclose(maps, [one(probe, image) for image in images], rtol=1e-4, atol=1e-6)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(jaxcam.gradcam(probe, x, 1) ** 2)))(images[0])
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


@pytest.mark.parametrize(
    ("count", "image", "leading", "grid"),
    [
        (197, (224, 224), None, (14, 14)),
        (196, (224, 224), None, (14, 14)),
        (50, (224, 224), 1, (7, 7)),
        (201, (224, 224), 5, (14, 14)),
        (141, (224, 160), None, (14, 10)),
        (257, (224, 224), 1, (16, 16)),
        (1370, (518, 518), None, (37, 37)),
    ],
)
def test_grids(count, image, leading, grid):
    tokens = jnp.arange(count * 2.0).reshape(1, count, 2)
    as_grid, restore = as_map(tokens, image, leading, "it")
    assert as_grid.shape == (1, *grid, 2)
    np.testing.assert_array_equal(restore(as_grid), tokens)
    np.testing.assert_array_equal(
        restore(as_grid * 0)[:, : count - grid[0] * grid[1]], tokens[:, : count - grid[0] * grid[1]]
    )


@pytest.mark.parametrize(
    ("count", "image", "words"),
    [
        (
            201,
            (224, 224),
            r"it returns 201 tokens for a 224x224 image: .* Pass tokens=.*: tokens=5 leaves 14x14$",
        ),
        (
            70,
            (224, 224),
            r"Pass tokens=, the number of leading class and register tokens: tokens=6 leaves 8x8$",
        ),
        (
            83,
            (224, 160),
            r"do not form a grid of square patches\. Pass tokens=, the number of leading class and register tokens$",
        ),
        (197, (225, 224), "197 tokens for a 225x224 image"),
    ],
)
def test_numbers_that_are_no_grid(count, image, words):
    with pytest.raises(ValueError, match=words):
        as_map(jnp.zeros((1, count, 2)), image, None, "it")


@pytest.mark.usefixtures("unchecked")
def test_wrong_numbers_of_tokens(model):
    for tokens in (-1, True, 1.0, "1"):
        with pytest.raises(ValueError, match=f"tokens must be a whole number of at least 0; got {tokens!r}"):
            jaxcam.probe(model, LAYER, tokens=tokens)


METHODS = [jaxcam.gradcam, jaxcam.hirescam, jaxcam.clustercam, jaxcam.conceptorcam]


@pytest.mark.parametrize("name", exhaustive(tiny.SIZES, lambda name: name != "tiny_vit"))
def test_transformers_are_explained_at_their_default_layers(name):
    model = nnx.eval_shape(lambda: tiny.build(name))
    model = converters.from_torch(model, synthetic.weights(synthetic.shapes(model)))
    probe = jaxcam.probe(model, tiny.ARCHITECTURES[name].layer)
    images = jnp.asarray(synthetic.image(*tiny.SIZES[name], batch=2))
    for method in METHODS:
        options = {"clusters": 3} if method is jaxcam.clustercam else {}
        maps = np.asarray(jaxcam.explain(probe, images, 3, method=method, raw=True, **options))
        assert np.isfinite(maps).all(), method.__name__
        assert (maps.std((1, 2)) > 1e-3 * np.abs(maps).max((1, 2))).all(), method.__name__
        assert np.abs(maps[0] - maps[1]).max() > 1e-3 * np.abs(maps).max(), method.__name__
