"""A Flax Linen module is probed by path, and not edited."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from nets import images

import jaxcam

IMAGE = images(1)[0]
CALL = {"train": False}


class Block(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(self.channels, (3, 3))(x)
        scale = self.param("scale", nn.initializers.uniform(1.0), (1, 1, 1, self.channels))
        return nn.relu(x * scale) * (0.5 if train else 1.0)


COMPILED = nn.jit(Block, static_argnums=(2,))


class Net(nn.Module):
    block: type[nn.Module] = Block

    def setup(self):
        self.stem = Block(4)
        self.body = [self.block(6), self.block(6)]
        self.spare = nn.Dense(6)
        self.classes = nn.Dense(5)

    def __call__(self, x, train=True):
        x = self.stem(x, train)
        for block in self.body:
            x = block(x, train)
        if self.is_initializing():
            self.spare(x)
        return self.classes(jnp.mean(x, axis=(1, 2)))


class Shared(nn.Module):
    @nn.compact
    def __call__(self, x):
        conv = nn.Conv(3, (3, 3), name="conv")
        return jnp.mean(conv(conv(x)), axis=(1, 2))


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.mean(Two(name="two")(x)[0], axis=(1, 2))


class Two(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Conv(3, (1, 1))(x), x


def variables(module=None, seed=0):
    return (module or Net()).init(jax.random.key(seed), jnp.zeros((1, 12, 14, 3)))


@pytest.fixture(scope="module")
def weights():
    return variables()


@pytest.mark.parametrize("path", ["stem", "body_0", "body_1", "stem.Conv_0", "stem/Conv_0"])
def test_any_submodule_can_be_probed(weights, path):
    probe = jaxcam.probe(Net(), path, variables=weights, call=CALL)
    np.testing.assert_allclose(probe(IMAGE)[0], Net().apply(weights, IMAGE[None], train=False)[0], rtol=1e-5)
    _, state = Net().apply(
        weights, IMAGE[None], train=False, capture_intermediates=True, mutable=["intermediates"]
    )
    captured = state["intermediates"]
    for step in path.replace("/", ".").split("."):
        captured = captured[step]
    look = probe.look(IMAGE, 2)
    np.testing.assert_allclose(look.activation, captured["__call__"][0][0], rtol=1e-5, atol=1e-6)
    silenced, _ = probe(IMAGE, lambda a: a * 0)
    assert not np.allclose(silenced, look.output)


def test_gradient_is_the_heads(weights):
    look = jaxcam.probe(Net(), "body_1", variables=weights, call=CALL).look(IMAGE, 3)
    kernel = weights["params"]["classes"]["kernel"][:, 3]
    np.testing.assert_allclose(look.gradient, np.broadcast_to(kernel / (12 * 14), (12, 14, 6)), rtol=1e-5)


def test_options_of_the_call(weights):
    training = jaxcam.probe(Net(), "stem", variables=weights)
    np.testing.assert_allclose(training(IMAGE)[0], Net().apply(weights, IMAGE[None])[0], rtol=1e-5)
    assert not np.allclose(training(IMAGE)[0], Net().apply(weights, IMAGE[None], train=False)[0])


def test_submodule_inside_a_jit_that_was_compiled_before(weights):
    net = Net(COMPILED)
    expected = net.apply(weights, IMAGE[None], train=False)
    for path in ("body_1", "body_1.Conv_0"):
        probe = jaxcam.probe(net, path, variables=weights, call=CALL)
        plain = jaxcam.probe(Net(), path, variables=weights, call=CALL)
        np.testing.assert_allclose(probe(IMAGE, jnp.abs)[0], plain(IMAGE, jnp.abs)[0], rtol=1e-5)
        np.testing.assert_allclose(probe.look(IMAGE, 1).gradient, plain.look(IMAGE, 1).gradient, atol=1e-6)
    np.testing.assert_array_equal(net.apply(weights, IMAGE[None], train=False), expected)


def test_static_part_compares_by_value():
    traced = []

    @jax.jit
    def output(probe, image):
        traced.append(1)
        return probe(image)[0]

    first, second = (
        jaxcam.probe(Net(), "body_0", variables=variables(seed=seed), call={"train": False})
        for seed in (0, 1)
    )
    assert not np.allclose(output(first, IMAGE), output(second, IMAGE))
    assert len(traced) == 1
    assert first.anatomy != jaxcam.probe(Net(), "stem", variables=variables(), call=CALL).anatomy
    assert len(jax.tree.leaves(first)) == len(jax.tree.leaves(variables()))


def test_explain_and_bfloat16(weights):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), weights)
    probe = jaxcam.probe(Net(), "body_1", variables=half, call=CALL)
    maps = jaxcam.explain(probe, images(3).astype(jnp.bfloat16), [0, 1, 2], method="hirescam")
    assert maps.dtype == jnp.float32
    assert (maps.max(axis=(1, 2)) > 0.99).all()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bodi_0", r"no layer 'bodi_0'; did you mean 'body_0'\?"),
        ("stem.conv", r"no layer 'stem.conv'; did you mean 'stem.Conv_0'\?"),
        ("", "no layer ''"),
        ("spare", "layer 'spare' was never called"),
        ("classes", r"layer 'classes' returns shape \(1, 5\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_path_without_an_activation(weights, path, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.probe(Net(), path, variables=weights, call=CALL)(IMAGE)


@pytest.mark.usefixtures("unchecked")
def test_layer_without_one_activation():
    with pytest.raises(ValueError, match="layer 'conv' is called more than once for one image"):
        jaxcam.probe(Shared(), "conv", variables=variables(Shared()))(IMAGE)
    with pytest.raises(ValueError, match=r"layer 'two' returns several leaves .*: name one, such as 'two:0'"):
        jaxcam.probe(Pair(), "two", variables=variables(Pair()))(IMAGE)
    assert jaxcam.probe(Pair(), "two.Conv_0", variables=variables(Pair())).look(IMAGE, 0).gradient.shape == (
        12,
        14,
        3,
    )


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(weights):
    with pytest.raises(TypeError, match="a Linen module holds no parameters: pass variables="):
        jaxcam.probe(Net(), "stem")
    with pytest.raises(TypeError, match="unexpected keyword argument 'training'"):
        jaxcam.probe(Net(), "stem", variables=weights, call={"training": False})(IMAGE)
