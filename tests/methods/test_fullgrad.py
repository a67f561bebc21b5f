"""FullGrad: the gradients at the input and at all biases add up to the score, and the map is the formula."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import Small, images

import jaxcam
from jaxcam.methods._fullgrad import full_gradient

IMAGE = images(1)[0]
full = jax.jit(full_gradient, static_argnums=2)
fullgrad = jax.jit(jaxcam.fullgrad, static_argnames=("target", "scale"))


@pytest.fixture
def promotion():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def parts(probe, image, target=2):
    """The score, gradient × activation, and the biases times their gradients."""
    found, A = full_gradient(probe, image, target)
    return found.output, A * found.gradient, [each.value * each.gradient for each in found.biases]


def adds_up(probe, image):
    score, first, others = jax.jit(parts)(probe, image)
    total = jnp.sum(first) + sum(jnp.sum(each) for each in others)
    np.testing.assert_allclose(total, score, rtol=1e-10)
    assert abs(jnp.sum(first) - score) > 1e-3
    return len(others)


class Residual(nn.Module):
    """A stem, a block with a shortcut, and one whose norm comes first, as in ResNets and DenseNets."""

    @nn.compact
    def __call__(self, x):
        def norm(x, name):
            return nn.BatchNorm(use_running_average=True, param_dtype=jnp.float64, name=name)(x)

        def conv(x, name, **options):
            return nn.Conv(6, (3, 3), param_dtype=jnp.float64, name=name, **options)(x)

        x = nn.max_pool(nn.relu(norm(conv(x, "stem", use_bias=False), "stem_norm")), (2, 2), (2, 2))
        y = nn.relu(norm(conv(x, "first"), "first_norm"))
        x = nn.relu(x + norm(conv(y, "second", use_bias=False), "second_norm"))
        x = x + conv(nn.relu(norm(x, "third_norm")), "third")
        x = jnp.where(x > 0, x, 0.1 * x)
        return nn.Dense(4, param_dtype=jnp.float64, name="fc")(jnp.mean(x, axis=(1, 2)))


def randomised(tree):
    leaves, structure = jax.tree.flatten(tree)
    draw = np.random.default_rng(0).uniform
    return jax.tree.unflatten(structure, [jnp.asarray(draw(0.2, 1, each.shape) * 0.5) for each in leaves])


def test_completeness_of_a_residual_network(x64, promotion):
    image = jnp.asarray(IMAGE, jnp.float64)
    variables = randomised(jax.eval_shape(Residual().init, jax.random.key(0), image[None]))
    probe = jaxcam.probe(Residual(), (jaxcam.INPUT, "stem_norm", "third"), variables=variables)
    # four batch norms, two convolutions with a bias, one linear layer
    assert adds_up(probe[jaxcam.INPUT], image) == 7
    assert adds_up(probe["third"], image) == 2  # what the shortcut carries past the layer is one
    biases, _ = full(probe["third"], image, 2)
    assert [each.passes for each in biases.biases] == [True, False]
    assert adds_up(probe["stem_norm"], image) == 6


@pytest.mark.parametrize("head", ["pool", "flatten", "deep"])
def test_completeness_of_other_networks(head, x64):
    probe = jaxcam.probe(Small(head, dtype=jnp.float64), jaxcam.INPUT)
    # a scale follows each convolution's bias: they are biases of their own
    assert adds_up(probe, jnp.asarray(IMAGE, jnp.float64)) == (7 if head == "deep" else 5)


class Equinox(eqx.Module):
    first: eqx.nn.Conv2d
    last: eqx.nn.Linear

    def __init__(self):
        keys = jax.random.split(jax.random.key(0))
        self.first = eqx.nn.Conv2d(3, 4, 3, key=keys[0])
        self.last = eqx.nn.Linear(4, 5, key=keys[1])

    def __call__(self, x):
        return self.last(jnp.mean(jax.nn.relu(self.first((x - 0.5) / 0.3)), axis=(1, 2)))


def test_channels_first_and_numbers_in_the_model(x64):
    image = jnp.asarray(IMAGE, jnp.float64)
    probe = jaxcam.probe(Equinox(), jaxcam.INPUT)
    assert adds_up(probe, image) == 3
    found, _ = full(probe, image, 2)
    assert found.channels_first
    evidence = jnp.moveaxis(found.biases[1].value * found.biases[1].gradient, 1, -1)[0]
    assert evidence.shape == (10, 12, 4)
    found = fullgrad(probe, image, 2)
    np.testing.assert_allclose(found, formula(probe, image, [evidence]), rtol=1e-6)


def scanned(weights, images):
    def block(x, weights):
        mix, bias = weights
        return jax.nn.relu(jnp.matmul(x, mix) + bias[None, None, None]), jnp.mean(x, axis=(1, 2))

    x, means = jax.lax.scan(block, images, weights)
    return jnp.mean(x, axis=(1, 2)) + means[1] + jnp.array([[1.0, 2.0, 3.0]])


def test_completeness_of_a_scan(x64):
    weights = tuple(np.random.default_rng(1).normal(size=shape) for shape in ((2, 3, 3), (2, 3)))
    probe = jaxcam.probe(scanned, jaxcam.INPUT, variables=jax.tree.map(jnp.asarray, weights))
    assert adds_up(probe, jnp.asarray(IMAGE, jnp.float64)) == 3


def test_a_constant_that_is_used_twice_counts_on_each_path(x64):
    shift, scale = jnp.asarray([0.1, 0.2, 0.3]), jnp.asarray([1.0, 2.0, 3.0])

    def function(images):
        x = images - shift[None, None, None]
        return jnp.mean(jax.nn.relu(x) + x * scale[None, None, None] + (1.0 - x), axis=(1, 2))

    probe = jaxcam.probe(function, jaxcam.INPUT)
    assert adds_up(probe, jnp.asarray(IMAGE, jnp.float64)) == 3


def formula(probe, image, biases, *, scale="channel"):
    """The map, from the evidence `(*space, K)` of the biases that have a place."""

    def scaled(evidence):
        axes, epsilon = ((0, 1), 1e-7) if scale == "channel" else (None, 1e-6)
        size = np.abs(evidence)
        low, high = size.min(axis=axes, keepdims=True), size.max(axis=axes, keepdims=True)
        return ((size - low) / (high - low + epsilon)).sum(axis=-1)

    look = jax.jit(lambda probe, image: probe.look(image, 2))(probe, image)
    total = scaled(np.asarray(look.activation * look.gradient))
    for each in biases:
        total = total + np.asarray(jaxcam.resize(jnp.asarray(scaled(np.asarray(each))), total.shape))
    return total


@pytest.mark.parametrize("layer", [jaxcam.INPUT, "stem"])
def test_the_map_is_the_formula(layer, x64):
    probe = jaxcam.probe(Small(dtype=jnp.float64), layer)
    image = jnp.asarray(IMAGE, jnp.float64)
    biases, _ = full(probe, image, 2)
    placed = [(each.value * each.gradient)[0] for each in biases.biases if each.value.ndim == 4]
    assert len(placed) == (4 if layer == jaxcam.INPUT else 2)
    found = fullgrad(probe, image, 2)
    assert found.shape == IMAGE.shape[:2]
    np.testing.assert_allclose(found, formula(probe, image, placed), rtol=1e-6)


def test_a_tensor_scaled_together(x64):
    """As the authors' code: a layer's channels share their range, and corners lie on corners."""
    probe = jaxcam.probe(Small(dtype=jnp.float64), "blocks.0")
    image = jnp.asarray(IMAGE, jnp.float64)
    found = fullgrad(probe, image, 2, scale="tensor")
    np.testing.assert_allclose(found, formula(probe, image, [], scale="tensor"), rtol=1e-6)
    assert abs(found - fullgrad(probe, image, 2)).max() > 0.1
    with pytest.raises(ValueError, match="scale 'layer'"):
        jaxcam.fullgrad(probe, image, 2, scale="layer")


def test_heads_of_attention_have_no_place():
    def function(weights, images):
        x = images.reshape(1, 12 * 14, 3)
        heads = (jnp.matmul(x, weights["mix"]) + weights["bias"][None, None]).reshape(1, 12 * 14, 2, 3)
        mixed = jax.nn.relu(heads + weights["heads"][None, None])
        return jnp.mean(mixed.reshape(1, -1, 6), axis=1)

    draw = np.random.default_rng(0).normal
    weights = {"mix": draw(size=(3, 6)), "bias": draw(size=6), "heads": draw(size=(2, 3))}
    weights = jax.tree.map(lambda each: jnp.asarray(each, jnp.float32), weights)
    probe = jaxcam.probe(function, jaxcam.INPUT, variables=weights)
    biases, _ = full(probe, IMAGE, 2)
    assert [each.gradient.shape for each in biases.biases] == [(1, 168, 6), (1, 168, 2, 3)]
    tokens = np.asarray(biases.biases[0].value * biases.biases[0].gradient).reshape(12, 14, 6)
    np.testing.assert_allclose(fullgrad(probe, IMAGE, 2), formula(probe, IMAGE, [tokens]), rtol=1e-3)
