"""`jaxcam.guided`: ReLU's derivative rewritten in the programs of every library."""

import functools

import equinox as eqx
import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P
from nets import Attentive, Small, images

import jaxcam

IMAGE = np.random.default_rng(0).normal(size=(12, 14, 3)).astype(np.float32) * 4
MIX, OUT = (np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32) for seed in (1, 2))
clip = functools.partial(jnp.clip, min=0, max=6)

RELUS = {
    "jax.nn.relu": jax.nn.relu,
    "max(x, 0)": lambda x: jnp.maximum(x, 0),
    "max(0, x)": lambda x: jnp.maximum(0, x),
    "clip": lambda x: jnp.clip(x, 0),
    "where(x > 0, x, 0)": lambda x: jnp.where(x > 0, x, 0),
    "where(x <= 0, 0, x)": lambda x: jnp.where(x <= 0, 0, x),
}
BOUNDED = {
    "jax.nn.relu6": jax.nn.relu6,
    "clip": clip,
    "where": lambda x: jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x)),
    "minimum": lambda x: jnp.minimum(jnp.maximum(x, 0), 6),
}
OTHERS = {
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "leaky_relu": jax.nn.leaky_relu,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "hard_swish": jax.nn.hard_swish,
    "hard swish by clip": lambda x: x * clip(x + 3) / 6,
    "hard swish by minimum": lambda x: x * jnp.minimum(jnp.maximum(x + 3, 0), 6) / 6,
    "a variance's guard": lambda x: x / jnp.sqrt(1 + jnp.maximum(0, jnp.mean(x**2) - jnp.mean(x) ** 2)),
    "where of another": lambda x: jnp.where(x[..., ::-1] > 0, x, 0),
    "the larger of two": lambda x: jnp.maximum(x, x[..., ::-1]),
}


def network(activation, mix, images):
    return jnp.mean(activation(jnp.matmul(images, mix)), axis=(1, 2)) * OUT[:1]


def probed(activation, layer=jaxcam.INPUT):
    return jaxcam.probe(functools.partial(network, activation), layer, variables=MIX)


@jax.jit
def gradients(probe, target=1):
    return probe.look(IMAGE, target).gradient, jaxcam.guided(probe).look(IMAGE, target).gradient


def plain_and_guided(x, bound=np.inf):
    """Of the score of class 1, whose gradient at the ReLU's output is that of one channel."""
    slope = np.zeros(5, np.float32)
    slope[1] = OUT[0, 1] / (12 * 14)
    on = (x > 0) & (x < bound)
    return (on * slope) @ MIX.T, (on * np.maximum(slope, 0)) @ MIX.T


@pytest.mark.parametrize(
    ("activation", "bound"),
    [(each, np.inf) for each in RELUS.values()] + [(each, 6) for each in BOUNDED.values()],
    ids=[*RELUS, *(f"{name} to 6" for name in BOUNDED)],
)
@pytest.mark.parametrize("target", [1, jaxcam.negative(1)], ids=["for", "against"])
def test_every_way_to_write_relu(activation, bound, target):
    plain, rewritten = (
        np.asarray(probe.look(IMAGE, target).gradient)
        for probe in (probed(activation), jaxcam.guided(probed(activation)))
    )
    both = plain_and_guided(IMAGE @ MIX, bound)
    sign = 1 if target == 1 else -1
    np.testing.assert_allclose(plain, sign * both[0], atol=1e-6)
    assert OUT[0, 1] != 0
    expected = both[0] if (OUT[0, 1] > 0) == (sign > 0) else np.zeros_like(plain)
    np.testing.assert_allclose(rewritten, sign * expected, atol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_a_relu(name):
    probe = probed(OTHERS[name])
    with pytest.raises(ValueError, match="this model's program has no ReLU"):
        jax.eval_shape(jaxcam.guided(probe), IMAGE)
    beside = probed(lambda x: OTHERS[name](x) + jax.nn.relu(x) * 0)
    plain, rewritten = gradients(beside)
    np.testing.assert_array_equal(plain, rewritten)


def test_at_zero_the_derivative_is_zero():
    for activation in (jax.nn.relu, lambda x: jnp.maximum(x, 0)):
        probe = jaxcam.guided(probed(activation))
        np.testing.assert_array_equal(probe.look(np.zeros_like(IMAGE), 1).gradient, 0)


@functools.partial(jax.jit, static_argnums=2)
def by_hand(model, image, target):
    """Guided backpropagation of a `Small` network by a ReLU with another derivative in its class's place."""

    @jax.custom_vjp
    def relu(x):
        return jax.nn.relu(x)

    relu.defvjp(lambda x: (relu(x), x), lambda x, g: (jnp.where((x > 0) & (g > 0), g, 0),))

    def score(image):
        x = image[None]
        for number, block in enumerate([model.stem, *model.blocks]):
            x = relu(block.norm(block.conv(x)))
            x = nnx.max_pool(x, (2, 2), (2, 2)) if number == 0 else x
        return model.fc(jnp.mean(x, axis=(1, 2)))[0, target]

    return jax.grad(score)(image)


def test_a_network_by_hand():
    model, image = Small(), images(1)[0]
    probe = jaxcam.probe(model, (jaxcam.INPUT, "stem", "blocks.0"))
    look = jax.jit(lambda probe: probe.look(image, 3))
    found, plain = look(jaxcam.guided(probe)), look(probe)
    np.testing.assert_allclose(found.gradient[jaxcam.INPUT], by_hand(model, image, 3), atol=1e-7)
    np.testing.assert_allclose(found.output, plain.output, atol=1e-6)
    for layer in probe.layers:
        np.testing.assert_allclose(found.activation[layer], plain.activation[layer], atol=1e-5)
    alone = look(jaxcam.guided(probe)["stem"])
    np.testing.assert_allclose(alone.gradient, found.gradient["stem"], atol=1e-7)
    assert abs(found.gradient["stem"] - plain.gradient["stem"]).max() > 1e-4
    np.testing.assert_allclose(
        found.gradient["blocks.0"], plain.gradient["blocks.0"], atol=1e-7
    )  # no ReLU follows


def test_model_and_probe_stay_and_equal_probes_share_a_program():
    model, image = Small(), images(1)[0]
    probe, traced = jaxcam.probe(model, jaxcam.INPUT), []

    @jax.jit
    def gradient(probe):
        traced.append(probe)
        return probe.look(image, 3).gradient

    plain = gradient(probe)
    rewritten = gradient(jaxcam.guided(probe))
    other = gradient(jaxcam.guided(jaxcam.probe(Small(seed=1), jaxcam.INPUT)))
    assert len(traced) == 2
    assert abs(other - rewritten).max() > 1e-4
    np.testing.assert_array_equal(gradient(probe), plain)
    assert jaxcam.guided(jaxcam.guided(probe)).anatomy == jaxcam.guided(probe).anatomy != probe.anatomy


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.LayerNorm()(nn.Conv(4, (3, 3), name="first")(x)))
        x = nn.remat(nn.Conv)(4, (3, 3), name="second")(x)
        return nn.Dense(5)(jnp.mean(nn.relu(x), axis=(1, 2)))


class Equinox(eqx.Module):
    first: eqx.nn.Conv2d
    last: eqx.nn.Linear

    def __init__(self):
        keys = jax.random.split(jax.random.key(0))
        self.first = eqx.nn.Conv2d(3, 4, 3, key=keys[0])
        self.last = eqx.nn.Linear(4, 5, key=keys[1])

    def __call__(self, x):
        return self.last(jnp.mean(jax.nn.relu(self.first(x)), axis=(1, 2)))


def scanned(weights, images):
    def block(x, mix):
        return jaxcam.tap(jax.nn.relu(jnp.matmul(x, mix)), "block"), None

    x, _ = jax.lax.scan(block, images, weights)
    return jnp.mean(x, axis=(1, 2))


def split(activation=jax.nn.relu):
    return jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(activation(jnp.matmul(a, MIX)), axis=(1, 2))))


@pytest.mark.parametrize("library", ["linen", "equinox", "scan", "split"])
def test_libraries(library):
    if library == "linen":
        with jax.numpy_rank_promotion("allow"):
            variables = Linen().init(jax.random.key(0), IMAGE[None])
        probe = jaxcam.probe(Linen(), (jaxcam.INPUT, "first"), variables=variables)[jaxcam.INPUT]
    elif library == "equinox":
        probe = jaxcam.probe(Equinox(), jaxcam.INPUT)
    elif library == "scan":
        weights = np.random.default_rng(3).normal(size=(3, 3, 3)).astype(np.float32)
        probe = jaxcam.probe(scanned, "block[0]", variables=weights)
    else:
        probe = split()
    with jax.numpy_rank_promotion("allow"):
        plain, rewritten = gradients(probe, jaxcam.difference(1, 0))
        output = probe(IMAGE)[0]
        np.testing.assert_allclose(jaxcam.guided(probe)(IMAGE)[0], output, rtol=1e-6)
    assert plain.shape == rewritten.shape
    assert abs(plain - rewritten).max() > 0.01 * abs(plain).max() > 0


def test_batches_devices_and_exports():
    probe = jaxcam.guided(jaxcam.probe(Small(), jaxcam.INPUT))
    batch, targets = images(2), jnp.array([0, 3])

    def gradient(probe, image, target):
        return probe.look(image, target).gradient

    each = jax.jit(jax.vmap(gradient, in_axes=(None, 0, 0)))
    looped = np.stack([gradient(probe, *pair) for pair in zip(batch, targets, strict=True)])
    np.testing.assert_allclose(each(probe, batch, targets), looped, atol=1e-6)
    mesh = jax.make_mesh((1,), ("b",), axis_types=(jax.sharding.AxisType.Auto,))
    program = jax.shard_map(each, mesh=mesh, in_specs=(P(), P("b"), P("b")), out_specs=P("b"))
    np.testing.assert_allclose(jax.jit(program)(probe, batch, targets), looped, atol=1e-6)
    jax.export.export(each, platforms=["tpu"])(probe, batch, targets)


def test_mistakes(unchecked):
    with pytest.raises(TypeError, match="guided takes a probe"):
        jaxcam.guided(Small())
    with pytest.raises(ValueError, match="no ReLU"):
        jaxcam.guided(split(jax.nn.gelu)).look(IMAGE, 1)
    with pytest.raises(ValueError, match="no ReLU"), jax.numpy_rank_promotion("allow"):
        jax.eval_shape(jaxcam.guided(jaxcam.probe(Attentive(), "blocks.0")), images(1)[0])
    branch = probed(lambda x: jax.lax.cond(jnp.sum(x) > 0, jax.nn.relu, lambda x: x, x))
    with pytest.raises(ValueError, match="inside a cond"):
        jax.eval_shape(jaxcam.guided(branch), IMAGE)
