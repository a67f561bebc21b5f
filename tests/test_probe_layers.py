"""Several layers at once, the input as a layer, one call of several, slices of loops, leaves of an output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from nets import Small, images

import jaxcam

IMAGE = images(1)[0]
LAYERS = ("first", "second", "third")


def rngs(seed=0):
    return nnx.Rngs(seed)


class Block(nnx.Module):
    def __init__(self, inputs, outputs, *, rngs):
        self.conv = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)

    def __call__(self, x):
        return jnp.tanh(self.conv(x))


class Chain(nnx.Module):
    """Three blocks, with a connection from the first one past the second."""

    def __init__(self):
        self.first, self.second = Block(3, 4, rngs=rngs(0)), Block(4, 4, rngs=rngs(1))
        self.third, self.classes = Block(4, 6, rngs=rngs(2)), nnx.Linear(6, 5, rngs=rngs(3))

    def __call__(self, x):
        x = self.first(x)
        x = x + self.second(x)
        return self.classes(jnp.mean(self.third(x), axis=(1, 2)))


def test_several_layers_are_each_of_them():
    model = Chain()
    probe = jaxcam.probe(model, ("third", "first", "second"))  # not as the model calls them
    assert probe.layers == ("third", "first", "second")
    look = jax.jit(lambda probe, x: probe.look(x, 2))(probe, IMAGE)
    output, activations = probe(IMAGE)
    for layer in LAYERS:
        alone = jaxcam.probe(model, layer).look(IMAGE, 2)
        for found in (look, probe[layer].look(IMAGE, 2)):
            activation = found.activation[layer] if found is look else found.activation
            gradient = found.gradient[layer] if found is look else found.gradient
            np.testing.assert_allclose(activation, alone.activation, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(gradient, alone.gradient, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(activations[layer], alone.activation, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(output, model(IMAGE[None])[0], rtol=1e-6)
    assert list(activations) == list(probe.layers)


def test_edits_at_several_layers():
    model = Chain()
    probe = jaxcam.probe(model, LAYERS)
    first, third = model.first(IMAGE[None]), 3.0
    expected = model.classes(jnp.mean(third * model.third(first * 2 + model.second(first * 2)), axis=(1, 2)))[
        0
    ]
    output, activations = probe(IMAGE, {"first": lambda a: a * 2, "third": lambda a: a * third})
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(activations["first"], first[0], rtol=1e-6)
    np.testing.assert_allclose(activations["second"], model.second(first * 2)[0], rtol=1e-5, atol=1e-6)


def test_mistakes_with_several_layers():
    probe = jaxcam.probe(Chain(), LAYERS)
    with pytest.raises(
        TypeError, match=r"gradcam looks at one layer; the probe has first, second, third: take .*\['third'\]"
    ):
        jaxcam.gradcam(probe, IMAGE)
    with pytest.raises(TypeError, match=r"3 layers: pass a dictionary of edits by layer, such as \{'first'"):
        probe(IMAGE, jnp.zeros_like)
    with pytest.raises(ValueError, match=r"the probe has no layer 'fourth'.* It has first, second, third"):
        probe(IMAGE, {"fourth": jnp.zeros_like})
    with pytest.raises(KeyError, match="no layer 'secnd'; did you mean 'second'"):
        probe["secnd"]
    one = jaxcam.probe(Chain(), "first")
    assert one["first"] is one
    assert jaxcam.probe(Chain(), ("first",)).look(IMAGE, 1).gradient.shape == (12, 14, 4)


def test_vmap_bfloat16_and_grad_with_several_layers():
    probe = jaxcam.probe(Chain(), LAYERS)
    batch = images(3)
    look = jax.vmap(lambda x: probe.look(x, 1))(batch)
    single = probe.look(batch[2], 1)
    for layer in LAYERS:
        np.testing.assert_allclose(look.gradient[layer][2], single.gradient[layer], rtol=1e-5, atol=1e-8)
    narrow = jaxcam.probe(Small(dtype=jnp.bfloat16), ("stem", "blocks.0"))
    narrow = narrow.look(IMAGE.astype(jnp.bfloat16), 1)
    assert {each.dtype for each in narrow.gradient.values()} == {np.dtype(np.float32)}

    def total(x):
        look = probe.look(x, 1)
        return sum(jnp.sum(look.gradient[layer] * look.activation[layer]) for layer in LAYERS)

    slope = jax.grad(total)(IMAGE)
    step = 1e-2 * jax.random.normal(jax.random.key(0), IMAGE.shape)
    change = (total(IMAGE + step) - total(IMAGE - step)) / 2
    np.testing.assert_allclose(jnp.vdot(slope, step), change, rtol=2e-3)


def test_input_as_a_layer():
    model = Chain()
    probe = jaxcam.probe(model, jaxcam.INPUT)
    look = probe.look(IMAGE, 2)
    expected = jax.grad(lambda x: model(x[None])[0, 2])(IMAGE)
    np.testing.assert_allclose(look.gradient, expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(look.activation, IMAGE)
    np.testing.assert_allclose(
        jaxcam.hirescam(probe, IMAGE, 2), jnp.sum(expected * IMAGE, axis=-1), rtol=1e-4, atol=1e-7
    )
    both = jaxcam.probe(model, (jaxcam.INPUT, "third")).look(IMAGE, 2)
    np.testing.assert_allclose(both.gradient[jaxcam.INPUT], expected, rtol=1e-5, atol=1e-8)
    third = jaxcam.probe(model, "third").look(IMAGE, 2).gradient
    np.testing.assert_allclose(both.gradient["third"], third, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    "method",
    ["gradcam", "gradcam_elementwise", "gradcampp", "xgradcam", "layercam", "hirescam", "eigengradcam"],
)
def test_gradient_methods_run_at_the_input(method):
    maps = jaxcam.explain(jaxcam.probe(Chain(), jaxcam.INPUT), IMAGE[None], 2, method=method, raw=True)
    assert maps.shape == (1, 12, 14)
    assert np.isfinite(maps).all()
    assert np.ptp(maps) > 0


class Recurrent(nnx.Module):
    """The same block three times."""

    def __init__(self):
        self.stem, self.block = Block(3, 4, rngs=rngs(0)), Block(4, 4, rngs=rngs(1))
        self.classes = nnx.Linear(4, 5, rngs=rngs(2))

    def __call__(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        return self.classes(jnp.mean(x, axis=(1, 2)))


def test_one_call_of_several():
    model = Recurrent()
    x = model.stem(IMAGE[None])
    for call in range(3):

        def rest(x, more=2 - call):
            return model.classes(jnp.mean(_again(model.block, x, more), axis=(1, 2)))[0, 3]

        x = model.block(x)
        for label in (f"block[{call}]", f"block[{call - 3}]"):
            look = jaxcam.probe(model, label).look(IMAGE, 3)
            np.testing.assert_allclose(look.activation, x[0], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(look.gradient, jax.grad(rest)(x)[0], rtol=1e-5, atol=1e-8)
    with pytest.raises(
        ValueError, match=r"'block' is called more than once .* \(3 times\).*'block\[0\]' to 'block\[2\]'"
    ):
        jaxcam.probe(model, "block").look(IMAGE, 3)
    with pytest.raises(
        ValueError, match=r"'block\[3\]' does not exist: that layer is called 3 times, \[0\] to \[2\]"
    ):
        jaxcam.probe(model, "block[3]").look(IMAGE, 3)


def _again(block, x, times):
    for _ in range(times):
        x = block(x)
    return x


def test_shared_modules():
    model = Chain()
    model.second = model.third = Block(4, 4, rngs=rngs(1))
    model.classes = nnx.Linear(4, 5, rngs=rngs(3))
    twice = jaxcam.probe(model, ("second[0]", "third[1]"))
    activation = twice(IMAGE)[1]
    first = model.first(IMAGE[None])
    np.testing.assert_allclose(activation["second[0]"], model.second(first)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        activation["third[1]"], model.third(first + model.second(first))[0], rtol=1e-5, atol=1e-6
    )


DEPTH = 4
STACK = {
    "kernel": jax.random.normal(jax.random.key(1), (DEPTH, 3, 3)) * 0.7,
    "classes": jax.random.normal(jax.random.key(2), (3, 5)),
}


def looped(weights, x, *, reverse=False, tapped=True):
    def one(x, kernel):
        x = jnp.tanh(x @ kernel)
        x = jaxcam.tap(x, "block") if tapped else x
        return x, jnp.sum(x)

    body = jax.checkpoint(one) if reverse else one
    x, sums = jax.lax.scan(body, x, weights["kernel"], reverse=reverse)
    return jnp.mean(x, axis=(1, 2)) @ weights["classes"] + jnp.sum(sums * jnp.arange(1.0, 1 + DEPTH))


def unrolled(weights, x, taps, *, reverse=False):
    kernels = weights["kernel"][::-1] if reverse else weights["kernel"]
    order = jnp.arange(1.0, 1 + DEPTH)[::-1] if reverse else jnp.arange(1.0, 1 + DEPTH)
    total = 0
    for number, kernel in enumerate(kernels):
        x = taps(jnp.tanh(x @ kernel), number)
        total += jnp.sum(x) * order[number]
    return jnp.mean(x, axis=(1, 2)) @ weights["classes"] + total


@pytest.mark.parametrize("reverse", [False, True])
def test_a_tap_in_a_loop(reverse):
    for number in range(DEPTH):
        probe = jaxcam.probe(looped, f"block[{number}]", variables=STACK, call={"reverse": reverse})
        plain = jaxcam.probe(
            lambda weights, x, n=number: unrolled(
                weights, x, lambda a, i: jaxcam.tap(a, "here") if i == n else a, reverse=reverse
            ),
            "here",
            variables=STACK,
        )
        look, expected = (jax.jit(lambda p, x: p.look(x, 1))(each, IMAGE) for each in (probe, plain))
        np.testing.assert_allclose(look.output, looped(STACK, IMAGE[None], reverse=reverse)[0], rtol=1e-5)
        np.testing.assert_allclose(look.activation, expected.activation, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(look.gradient, expected.gradient, rtol=1e-5, atol=1e-6)
    several = jaxcam.probe(looped, ("block[2]", "block[0]"), variables=STACK, call={"reverse": reverse})
    look = several.look(IMAGE, 1)
    for layer in several.layers:
        np.testing.assert_allclose(
            look.gradient[layer], several[layer].look(IMAGE, 1).gradient, rtol=1e-5, atol=1e-6
        )


class ScannedNet(nnx.Module):
    def __init__(self):
        @nnx.split_rngs(splits=DEPTH)
        @nnx.vmap(in_axes=0, out_axes=0)
        def make(rngs):
            return Block(3, 3, rngs=rngs)

        self.layers = make(nnx.Rngs(3))
        self.classes = nnx.Linear(3, 5, rngs=rngs(1))

    def __call__(self, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def forward(block, x):
            return block(x)

        return self.classes(jnp.mean(forward(self.layers, x), axis=(1, 2)))


def test_a_slice_of_an_nnx_scan():
    model = ScannedNet()
    x = IMAGE[None]
    for number in range(DEPTH):
        graphdef, state = nnx.split(model.layers)
        x = nnx.merge(graphdef, jax.tree.map(lambda leaf, n=number: leaf[n], state))(x)
        for layer in (f"layers[{number}]", f"layers[{number - DEPTH}]"):
            output, activation = jaxcam.probe(model, layer)(IMAGE)
            np.testing.assert_allclose(activation, x[0], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(output, model(IMAGE[None])[0], rtol=1e-5)
    conv = jaxcam.probe(model, "layers.conv[3]")(IMAGE)[1]
    np.testing.assert_allclose(jnp.tanh(conv), x[0], rtol=1e-5, atol=1e-6)
    maps = jaxcam.explain(jaxcam.probe(model, "layers[1]"), images(3), [1, 2, 3])
    assert np.ptp(maps) > 0


class LinenBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        x = x + jnp.tanh(nn.Conv(3, (3, 3))(x))
        return x, {"sum": jnp.sum(x)}


class LinenScan(nn.Module):
    remat: bool = True

    @nn.compact
    def __call__(self, x):
        block = nn.remat(LinenBlock) if self.remat else LinenBlock
        stack = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=DEPTH)
        x, _ = stack(name="blocks")(x, None)
        return nn.Dense(5)(jnp.mean(x, axis=(1, 2)))


@pytest.mark.parametrize("remat", [False, True])
def test_a_slice_of_a_linen_scan(remat):
    model = LinenScan(remat)
    variables = model.init(jax.random.key(0), IMAGE[None])
    x = IMAGE[None]
    for number in range(DEPTH):
        weights = jax.tree.map(lambda leaf, n=number: leaf[n], variables["params"]["blocks"])
        x, _ = LinenBlock().apply({"params": weights}, x, None)
        probe = jaxcam.probe(model, f"blocks[{number}]", variables=variables)
        np.testing.assert_allclose(probe(IMAGE)[1], x[0], rtol=1e-5, atol=1e-6)
    look = jaxcam.probe(model, "blocks[3]", variables=variables).look(IMAGE, 2)
    kernel = variables["params"]["Dense_0"]["kernel"][:, 2]
    np.testing.assert_allclose(look.gradient, jnp.broadcast_to(kernel / (12 * 14), x[0].shape), rtol=1e-5)


class Pairs(nnx.Module):
    """Returns a map and, beside it, something else."""

    def __init__(self, beside):
        self.conv, self.beside = Block(3, 4, rngs=rngs(0)), nnx.static(beside)

    def __call__(self, x):
        x = self.conv(x)
        return {"x": x, "beside": self.beside(x)}


class WithPairs(nnx.Module):
    def __init__(self, beside):
        self.pairs, self.classes = Pairs(beside), nnx.Linear(4, 5, rngs=rngs(2))

    def __call__(self, x):
        x = self.pairs(x)["x"]
        return self.classes(jnp.mean(x, axis=(1, 2)))


def _total(x):
    return jnp.sum(x, axis=(1, 2))


def test_a_layer_that_returns_a_dictionary():
    model = WithPairs(_total)
    probe = jaxcam.probe(model, "pairs")
    np.testing.assert_allclose(probe(IMAGE)[1], model.pairs.conv(IMAGE[None])[0], rtol=1e-6)
    np.testing.assert_allclose(
        jaxcam.probe(model, "pairs:x").look(IMAGE, 1).gradient,
        jaxcam.probe(model, "pairs.conv").look(IMAGE, 1).gradient,
    )
    with pytest.raises(
        ValueError, match=r"'pairs' returns several leaves .*'pairs:beside'.*'beside' \(1, 12, 14, 4\)"
    ):
        jaxcam.probe(WithPairs(jnp.abs), "pairs")(IMAGE)
    with pytest.raises(ValueError, match=r"returns no leaf 'y'; it returns 'beside' \(1, 4\), 'x' \(1, 12"):
        jaxcam.probe(model, "pairs:y")(IMAGE)
    with pytest.raises(ValueError, match=r"'pairs:beside' is not used"):
        jaxcam.probe(WithPairs(jnp.abs), "pairs:beside")(IMAGE)
    with pytest.raises(ValueError, match=r"'pairs.conv:0' returns one array, so it has no leaf '0'"):
        jaxcam.probe(model, "pairs.conv:0")(IMAGE)
