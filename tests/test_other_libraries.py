"""Equinox and Haiku models with state: the running statistics are the probe's parameters too."""

from collections.abc import Callable

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images

import jaxcam

BATCH = images(2)


class Equinox(eqx.Module):
    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    classes: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(3, 6, 3, key=first)
        self.norm = eqx.nn.BatchNorm(6, axis_name="batch", mode="batch")
        self.classes = eqx.nn.Linear(6, 5, key=second)

    def __call__(self, x, state):
        x, state = self.norm(self.conv(x), state)
        x = jaxcam.tap(jax.nn.relu(x), "features", channels=0)
        return self.classes(jnp.mean(x, axis=(1, 2))), state


def haiku(x, training):
    x = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(hk.Conv2D(6, 3)(x), training)
    x = jaxcam.tap(jax.nn.relu(x), "features")
    return hk.Linear(5)(jnp.mean(x, axis=(1, 2)))


def equinox_case():
    model, state = eqx.nn.make_with_state(Equinox)(jax.random.key(0))
    parameters, static = eqx.partition(eqx.nn.inference_mode(model), eqx.is_array)

    @eqx.filter_jit
    def logits(variables, x):
        parameters, state = variables
        run = jax.vmap(
            eqx.combine(parameters, static), axis_name="batch", in_axes=(0, None), out_axes=(0, None)
        )
        return run(jnp.moveaxis(x, -1, 1), state)[0]

    return logits, (parameters, state), {}


def haiku_case():
    net = hk.without_apply_rng(hk.transform_with_state(haiku))
    variables = net.init(jax.random.key(0), BATCH, True)

    def logits(variables, x, training):
        return net.apply(*variables, x, training)[0]

    return logits, variables, {"training": False}


@pytest.mark.parametrize("case", [equinox_case, haiku_case])
def test_model_with_running_statistics(case):
    logits, variables, call = case()
    probe = jaxcam.probe(logits, "features", variables=variables, call=call)
    outputs = logits(variables, jnp.asarray(BATCH), **call)
    maps, found = jaxcam.explain(probe, BATCH, [1, 3], method="hirescam", raw=True, with_output=True)
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-5)
    # one linear layer follows the mean: the map adds up to the score, less the bias
    (bias,) = (leaf for leaf in jax.tree.leaves(variables) if leaf.shape == (5,))
    expected = outputs[jnp.arange(2), jnp.array([1, 3])] - bias[jnp.array([1, 3])]
    np.testing.assert_allclose(jnp.sum(maps, axis=(1, 2)), expected, rtol=1e-4, atol=1e-5)
    assert len(jax.tree.leaves(probe)) == len(jax.tree.leaves(variables))


def test_equinox_model_that_is_the_function():
    """A callable pytree keeps its arrays as arguments, like the functions of a split."""

    class Net(eqx.Module):
        weights: jax.Array
        activation: Callable

        def __call__(self, x):
            return jnp.mean(jaxcam.tap(self.activation(x @ self.weights), "features"), axis=(1, 2))

    model = Net(jnp.ones((3, 5)), jax.nn.relu)
    probe = jaxcam.probe(model, "features")
    assert [leaf.shape for leaf in jax.tree.leaves(probe)] == [(3, 5)]
    assert probe.anatomy == jaxcam.probe(model, "features").anatomy
    np.testing.assert_allclose(jax.jit(lambda p, x: p(x)[0])(probe, BATCH[0]), model(BATCH[:1])[0], rtol=1e-5)
