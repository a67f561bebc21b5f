"""Equinox models by path: of one picture with the channels first, mapped over a batch, in inference mode."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcam

IMAGES = np.asarray(jax.random.normal(jax.random.key(9), (2, 16, 12, 3)))


class Net(eqx.Module):
    layers: list
    norm: eqx.nn.BatchNorm
    after: eqx.nn.Sequential
    classes: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.layers = [eqx.nn.Conv2d(3, 6, 3, key=keys[0]), eqx.nn.Conv2d(6, 6, 3, padding=1, key=keys[1])]
        self.norm = eqx.nn.BatchNorm(6, axis_name="batch", mode="batch")
        self.after = eqx.nn.Sequential([eqx.nn.Dropout(0.5), eqx.nn.Lambda(jax.nn.relu)])
        self.classes = eqx.nn.Linear(6, 5, key=keys[3])

    def __call__(self, x, state, key=None):
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        x, state = self.norm(x, state)
        return self.classes(jnp.mean(self.after(x, key=key), axis=(1, 2))), state


@pytest.fixture(scope="module")
def net():
    return eqx.nn.make_with_state(Net)(jax.random.key(0))


def expected(net):
    model, state = net
    run = jax.vmap(eqx.nn.inference_mode(model), axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    return run(jnp.moveaxis(IMAGES, -1, 1), state)[0]


def test_map_adds_up_to_the_score(net):
    model, state = net
    probe = jaxcam.probe(model, "after", variables=state)
    maps, found = jaxcam.explain(probe, IMAGES, [1, 3], method="hirescam", raw=True, with_output=True)
    np.testing.assert_allclose(found, expected(net), rtol=1e-4, atol=1e-5)
    chosen = jnp.array([1, 3])
    scores = found[jnp.arange(2), chosen] - model.classes.bias[chosen]
    np.testing.assert_allclose(jnp.sum(maps, axis=(1, 2)), scores, rtol=1e-4, atol=1e-5)
    assert maps.shape == (2, 14, 10)


def test_look_is_that_of_a_tap(net):
    """What the page shows for a model that has a tap behind a layer."""
    model, state = net
    tap = eqx.nn.Lambda(lambda x: jaxcam.tap(x, "last", channels=0))
    tapped = eqx.tree_at(lambda net: net.layers[1], model, eqx.nn.Sequential([model.layers[1], tap]))
    parameters, static = eqx.partition(eqx.nn.inference_mode(tapped), eqx.is_array)

    def logits(variables, images):
        run = eqx.combine(variables[0], static)
        return jax.vmap(lambda x: run(x, variables[1])[0], axis_name="batch")(jnp.moveaxis(images, -1, 1))

    by_tap = jaxcam.probe(logits, "last", variables=(parameters, state))
    by_path = jaxcam.probe(model, "layers[1]", variables=state)
    look = jax.jit(lambda probe, x: probe.look(x, 2))
    for one, other in zip(look(by_tap, IMAGES[0]), look(by_path, IMAGES[0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("layers[0]", (14, 10, 6)),
        ("layers[-1]", (14, 10, 6)),
        ("layers.1", (14, 10, 6)),
        ("norm:0", (14, 10, 6)),
        ("norm", (14, 10, 6)),
        ("after[1]", (14, 10, 6)),
        (jaxcam.INPUT, (16, 12, 3)),
    ],
)
def test_paths(net, layer, shape):
    model, state = net
    probe = jaxcam.probe(model, layer, variables=state)
    assert jax.eval_shape(lambda x: probe(x)[1], IMAGES[0]).shape == shape


def test_wrong_paths(net):
    model, state = net
    with pytest.raises(ValueError, match=r"no layer 'layers\[2\]'; did you mean 'layers\[[01]\]'\?"):
        jaxcam.probe(model, "layers[2]", variables=state)(IMAGES[0])
    with pytest.raises(ValueError, match=r"no layer 'norms'; did you mean 'norm'\?"):
        jaxcam.probe(model, ("norm", "norms"), variables=state)(IMAGES[0])


def test_weights_are_arguments_and_programs_are_kept(net):
    model, state = net
    count = 0

    @jax.jit
    def run(probe, image):
        nonlocal count
        count += 1
        return probe(image)[0]

    doubled = jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, model)
    outputs = [run(jaxcam.probe(each, "norm", variables=state), IMAGES[0]) for each in (model, doubled)]
    assert count == 1
    assert not np.allclose(*outputs)
    assert type(model.norm) is eqx.nn.BatchNorm


def test_further_arguments(net):
    """A key is an input, an option of the call is a value that can be hashed; what lacks is said."""

    class Needs(eqx.Module):
        conv: eqx.nn.Conv2d

        def __call__(self, x, *, key, scale):
            return scale * jnp.mean(self.conv(x), axis=(1, 2)) + jax.random.normal(key, (4,))

    model, key = Needs(eqx.nn.Conv2d(3, 4, 3, key=jax.random.key(0))), jax.random.key(1)
    probe = jaxcam.probe(model, "conv", inputs={"key": key}, call={"scale": 2.0})
    output, activation = probe(IMAGES[0])
    wanted = 2 * jnp.mean(activation, axis=(0, 1)) + jax.random.normal(key, (4,))
    np.testing.assert_allclose(output, wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match=r"'key'.*call=\{\.\.\.\}, or in inputs"):
        jaxcam.probe(model, "conv", call={"scale": 2.0})
    with pytest.raises(ValueError, match="no method 'encode'"):
        jaxcam.probe(model, "conv", method="encode")


def test_stack_that_a_scan_runs():
    """Blocks made by `eqx.filter_vmap`, run by `jax.lax.scan`: one of them by its number."""

    class Stack(eqx.Module):
        blocks: eqx.nn.Conv2d

        def __call__(self, x):
            arrays, static = eqx.partition(self.blocks, eqx.is_array)

            def step(x, arrays):
                return jax.nn.tanh(eqx.combine(arrays, static)(x)), None

            return jnp.mean(jax.lax.scan(step, x, arrays)[0], axis=(1, 2))

    make = eqx.filter_vmap(lambda key: eqx.nn.Conv2d(3, 3, 3, padding=1, key=key))
    model = Stack(make(jax.random.split(jax.random.key(0), 3)))
    output, activation = jaxcam.probe(model, "blocks[2]")(IMAGES[0])
    np.testing.assert_allclose(jnp.mean(jnp.tanh(activation), axis=(0, 1)), output, rtol=1e-5, atol=1e-6)
