"""NNX models as others write them: with a training mode in the call, compiled, rematerialised or in a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from nets import images

import jaxcam

IMAGE = images(1)[0]


class Block(nnx.Module):
    def __init__(self, inputs, outputs, *, rngs):
        self.conv = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, train=True):
        x = self.norm(self.conv(x), use_running_average=not train)
        return self.drop(jax.nn.relu(x), deterministic=not train)


class Net(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.stem = Block(3, 4, rngs=rngs)
        self.body = nnx.List([Block(4, 6, rngs=rngs), Block(6, 6, rngs=rngs)])
        self.classes = nnx.Linear(6, 5, rngs=rngs)

    def __call__(self, x, train=True):
        x = self.stem(x, train)
        for block in self.body:
            x = block(x, train)
        return self.classes(jnp.mean(x, axis=(1, 2)))


class CompiledNet(Net):
    @nnx.jit(static_argnums=2)
    def __call__(self, x, train=True):
        return Net.__call__(self, x, train)


class RematNet(Net):
    def __call__(self, x, train=True):
        return nnx.remat(lambda net, x: Net.__call__(net, x, train))(self, x)


class CompiledBlock(Block):
    @nnx.jit(static_argnums=2)
    def __call__(self, x, train=True):
        return Block.__call__(self, x, train)


class RematBlocksNet(Net):
    def __call__(self, x, train=True):
        x = self.stem(x, train)
        for block in self.body:
            x = nnx.remat(lambda block, x: block(x, train))(block, x)
        return self.classes(jnp.mean(x, axis=(1, 2)))


class CompiledBlocksNet(Net):
    def __init__(self):
        super().__init__()
        self.body = nnx.List([CompiledBlock(4, 6, rngs=nnx.Rngs(1)), CompiledBlock(6, 6, rngs=nnx.Rngs(2))])


class ScannedNet(Net):
    def __init__(self):
        super().__init__()

        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=0, out_axes=0)
        def make(rngs):
            return Block(6, 6, rngs=rngs)

        self.scanned = make(nnx.Rngs(3))

    def __call__(self, x, train=True):
        for block in [self.stem, *self.body]:
            x = block(x, train)

        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def forward(block, x):
            return block(x, train)

        return self.classes(jnp.mean(forward(self.scanned, x), axis=(1, 2)))


NETS = [Net, CompiledNet, RematNet, RematBlocksNet, CompiledBlocksNet, ScannedNet]
EVALUATION = {"train": False}


def plain(net):
    """The same weights without transformations."""
    return net if isinstance(net, ScannedNet) else nnx.merge(nnx.graphdef(Net()), nnx.state(net))


@pytest.mark.parametrize("kind", NETS)
def test_layers_of_transformed_models(kind):
    net = kind()
    expected = net(IMAGE[None], False)[0]  # and compiled before
    for layer in ("stem", "body.1", "body.1.conv"):
        probe = jaxcam.probe(net, layer, call=EVALUATION)
        look = jax.jit(lambda probe, x: probe.look(x, 2))(probe, IMAGE)
        np.testing.assert_allclose(look.output, expected, rtol=1e-5, atol=1e-6)
        if not isinstance(net, ScannedNet):
            same = jaxcam.probe(plain(net), layer, call=EVALUATION).look(IMAGE, 2)
            np.testing.assert_allclose(look.activation, same.activation, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(look.gradient, same.gradient, rtol=1e-4, atol=1e-7)
        silenced, _ = probe(IMAGE, jnp.zeros_like)
        assert not np.allclose(silenced, look.output)
    np.testing.assert_array_equal(net(IMAGE[None], False)[0], expected)


@pytest.mark.usefixtures("unchecked")
def test_layer_of_a_loop():
    for layer in ("scanned", "scanned.conv"):
        with pytest.raises(
            ValueError, match=rf"'{layer}' is called more .* \(3 times\).*, '{layer}\[0\]' to '{layer}\[2\]'"
        ):
            jaxcam.probe(ScannedNet(), layer, call=EVALUATION)(IMAGE)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", NETS)
def test_training_mode_is_refused(kind):
    net = kind()
    message = rf'batch norm .* of {kind.__name__} runs in training mode.*: pass call=\{{"train": False\}}'
    for options in ({}, {"call": {"train": True}}):
        with pytest.raises(ValueError, match=message):
            jaxcam.probe(net, "stem", **options)(IMAGE)


class Dropped(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def __call__(self, x, *, deterministic=False):
        return jnp.mean(self.drop(self.conv(x), deterministic=deterministic), axis=(1, 2))


class Always(Dropped):
    def __call__(self, x):
        return super().__call__(x)


@pytest.mark.usefixtures("unchecked")
def test_dropout_in_training_mode_is_refused():
    message = r"dropout .*'drop' of Dropped runs in training mode.*: pass call=\{\"deterministic\": True\}"
    with pytest.raises(ValueError, match=message):
        jaxcam.explain(jaxcam.probe(Dropped(), "conv"), IMAGE[None], 0)
    probe = jaxcam.probe(Dropped(), "conv", call={"deterministic": True})
    np.testing.assert_allclose(
        probe(IMAGE)[0], Dropped()(IMAGE[None], deterministic=True)[0], rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="pass what puts it into evaluation mode"):
        jaxcam.probe(Always(), "conv")(IMAGE)


@pytest.mark.usefixtures("unchecked")
def test_training_mode_in_a_split_is_refused():
    with pytest.raises(ValueError, match=r"batch norm 'norm' of Block runs in training mode"):
        jaxcam.probe(split=(Block(3, 4, rngs=nnx.Rngs(0)), lambda a: jnp.mean(a, axis=(1, 2))))(IMAGE)


class LinenNet(nn.Module):
    norm: bool = True

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(4, (3, 3), name="conv")(x)
        x = nn.BatchNorm(use_running_average=not train)(x) if self.norm else x
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(5)(jnp.mean(x, axis=(1, 2)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("norm", "part"), [(True, "batch norm"), (False, "dropout")])
def test_linen_in_training_mode_is_refused(norm, part):
    net = LinenNet(norm)
    variables = net.init(jax.random.key(0), IMAGE[None], train=False)
    message = rf'{part}.* of LinenNet runs in training mode.*: pass call=\{{"train": False\}}'
    with pytest.raises(ValueError, match=message):
        jaxcam.probe(net, "conv", variables=variables, call={"train": True})(IMAGE)
    with pytest.raises(
        TypeError, match=r'missing a required argument: .train.: pass call=\{"train": False\}'
    ):
        jaxcam.probe(net, "conv", variables=variables)
    with pytest.raises(ValueError, match=r"no 'params'.*whole of what model.init returned"):
        jaxcam.probe(net, "conv", variables=variables["params"], call={"train": False})(IMAGE)
    assert jaxcam.probe(net, "conv", variables=variables, call={"train": False})(IMAGE)[1].shape == (
        12,
        14,
        4,
    )


def test_options_of_the_call_are_part_of_the_program():
    one, same, other = (
        jaxcam.probe(Dropped(), "conv", call={"deterministic": each}) for each in (True, True, False)
    )
    assert one.anatomy == same.anatomy
    assert hash(one.anatomy) == hash(same.anatomy)
    assert one.anatomy != other.anatomy


def test_a_probe_is_a_snapshot_of_the_parameters():
    assert "snapshot" in jaxcam.probe.__doc__.strip().split("\n\n")[1]
    net = Net()
    before = jaxcam.probe(net, "stem", call=EVALUATION)
    expected = before(IMAGE)[0]
    net.classes.kernel[...] = net.classes.kernel[...] * 2
    np.testing.assert_array_equal(before(IMAGE)[0], expected)
    after = jaxcam.probe(net, "stem", call=EVALUATION)
    assert not np.allclose(after(IMAGE)[0], expected)
    assert after.anatomy == before.anatomy


class Returns(nnx.Module):
    def __init__(self):
        self.two = Two()

    def __call__(self, x):
        return jnp.mean(self.two(x)[0], axis=(1, 2))


class Two(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 3, (1, 1), rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.conv(x), x


@pytest.mark.usefixtures("unchecked")
def test_layer_that_returns_no_array():
    with pytest.raises(ValueError, match=r"layer 'two' returns several leaves .*: name one, such as 'two:0'"):
        jaxcam.probe(Returns(), "two")(IMAGE)
    assert jaxcam.probe(Returns(), "two.conv")(IMAGE)[1].shape == (12, 14, 3)
