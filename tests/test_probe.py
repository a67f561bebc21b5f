import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from nets import LAYER, Small, images, small

import jaxcam

IMAGE = images(1)[0]


class Twice(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0))

    def __call__(self, x):
        return jnp.mean(self.conv(self.conv(x)), axis=(1, 2))


class Unused(nnx.Module):
    def __init__(self):
        self.used = nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0))
        self.spare = nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0))

    def __call__(self, x):
        return jnp.mean(self.used(x), axis=(1, 2))


class Dropping(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(1))
        self.norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return jnp.mean(self.drop(self.norm(self.conv(x))), axis=(1, 2))


def test_output_is_the_models_own():
    model = Small()
    output, activation = jaxcam.probe(model, LAYER)(IMAGE)
    np.testing.assert_allclose(output, model(IMAGE[None])[0], rtol=1e-6)
    assert activation.shape == (6, 7, 12)


@pytest.mark.parametrize(
    "layer", ["stem", "stem.conv", "stem.norm", "blocks.0", "blocks.0.conv", "tail.norm"]
)
def test_any_submodule_can_be_tapped(layer, x64):
    probe = jaxcam.probe(Small("deep", dtype=jnp.float64), layer)
    image = IMAGE.astype(np.float64)
    look = jax.jit(lambda p, x: p.look(x, 1))(probe, image)
    # the gradient against finite differences along one direction
    direction = jax.random.normal(jax.random.key(0), look.activation.shape, jnp.float64)
    if not layer.endswith(
        ("conv", "norm")
    ):  # zeros after a ReLU tie in the pool that follows: no slope there
        direction = jnp.where(look.activation > 0, direction, 0)
    step = 1e-7
    score = jax.jit(lambda step: probe(image, lambda a: a + step * direction)[0][1])
    ahead, behind = score(step), score(-step)
    np.testing.assert_allclose((ahead - behind) / (2 * step), jnp.vdot(look.gradient, direction), rtol=1e-5)


def test_edit_reaches_the_rest_of_the_model():
    probe = small()
    silenced, activation = probe(IMAGE, lambda a: a * 0)
    np.testing.assert_allclose(silenced, probe.parameters["fc/bias"], atol=1e-6)
    assert np.abs(activation).max() > 0


def test_look_agrees_with_the_gradient_of_the_head():
    model = Small("deep")
    look = jaxcam.probe(model, LAYER).look(IMAGE, 3)

    def head(a):
        return model.fc(jnp.mean(model.tail(nnx.max_pool(a[None], (2, 2), (1, 1))), axis=(1, 2)))[0]

    np.testing.assert_allclose(look.output, head(look.activation), rtol=1e-5)
    np.testing.assert_allclose(look.gradient, jax.grad(lambda a: head(a)[3])(look.activation), atol=1e-6)
    assert look.score == look.output[3]


def test_split_equals_path():
    model = Small()

    def features(x):
        return model.blocks[0](nnx.max_pool(model.stem(x), (2, 2), (2, 2)))

    def head(a):
        return model.fc(jnp.mean(a, axis=(1, 2)))

    by_split = jaxcam.probe(split=(features, head)).look(IMAGE, 2)
    by_path = jaxcam.probe(model, LAYER).look(IMAGE, 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), by_split, by_path)


def test_split_modules_keep_their_parameters_as_leaves():
    model = Small()
    probe = jaxcam.probe(split=(model.stem, lambda a: jnp.mean(a, axis=(1, 2))))
    assert sorted((leaf.shape for leaf in jax.tree.leaves(probe)), key=len, reverse=True) == [
        (3, 3, 3, 8),
        *[(8,)] * 3,
    ]
    assert probe.look(IMAGE, 0).activation.shape == (12, 14, 8)


def test_the_users_model_is_not_changed_and_is_run_in_evaluation_mode():
    model = Dropping()
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param, nnx.BatchStat))
    probe = jaxcam.probe(model, "conv")
    first, second = probe(IMAGE)[0], probe(IMAGE)[0]
    np.testing.assert_array_equal(first, second)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model, nnx.Param, nnx.BatchStat))
    assert not model.norm.use_running_average
    assert not model.drop.deterministic
    assert isinstance(model.conv, nnx.Conv)


def test_is_a_pytree_of_the_parameters():
    model = Small()
    probe = jaxcam.probe(model, LAYER)
    assert len(jax.tree.leaves(probe)) == len(jax.tree.leaves(nnx.state(model)))
    halved = jax.tree.map(lambda leaf: leaf / 2, probe)
    assert not np.allclose(halved(IMAGE)[0], probe(IMAGE)[0])
    slopes = jax.grad(lambda p: p(IMAGE)[0][0])(probe)
    assert np.abs(slopes.parameters["fc/kernel"]).max() > 0


def test_weights_are_arguments_of_the_compiled_program():
    text = jax.jit(lambda p, x: p(x)[0]).lower(small(), IMAGE).as_text()
    constants = [line for line in text.splitlines() if "stablehlo.constant" in line and 'dense<"0x' in line]
    assert not constants


def test_static_part_compares_by_value():
    first, second = small(seed=0), small(seed=1)
    assert first.anatomy == second.anatomy
    assert first.anatomy != jaxcam.probe(Small(), "stem").anatomy
    traced = []

    @jax.jit
    def output(probe, image):
        traced.append(1)
        return probe(image)[0]

    output(first, IMAGE), output(second, IMAGE)
    assert len(traced) == 1


def test_vmap_over_images_and_grad_through_the_map():
    probe = small("deep")
    batch = images(3)
    looks = jax.vmap(probe.look)(batch, jnp.arange(3))
    one = probe.look(batch[2], 2)
    np.testing.assert_allclose(looks.gradient[2], one.gradient, atol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(jaxcam.hirescam(probe, x, 1) ** 2))(batch[0])
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


def test_bfloat16_model_is_looked_at_in_float32():
    look = small(dtype=jnp.bfloat16).look(IMAGE, 0)
    assert look.activation.dtype == look.gradient.dtype == jnp.float32


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("block.0", r"no layer 'block.0'; did you mean 'blocks.0'\?"),
        ("stem.convv", r"did you mean 'stem.conv'"),
        ("blocks.7", r"no layer 'blocks.7'"),
        ("head", r"'head' is a str, which is not callable"),
        ("head.x", r"no layer 'head.x'"),
        ("", r"no layer ''"),
        ("blocks", r"'blocks' is a List, which is not callable"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_path_that_does_not_exist(layer, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.probe(Small(), layer)


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [
        (Small(), "fc", r"layer 'fc' returns shape \(1, 5\).*two spatial axes"),
        (Twice(), "conv", "'conv' is called more than once"),
        (Unused(), "spare", "'spare' was never called"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_layer_without_one_spatial_activation(model, layer, message):
    probe = jaxcam.probe(model, layer)
    with pytest.raises(ValueError, match=message):
        probe(IMAGE)


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"a dict is not a model.*a flax\.nnx\.Module, .* a function"):
        jaxcam.probe({}, "layer4")
    with pytest.raises(
        TypeError, match="variables= is for a Linen module or a function, not for an NNX module"
    ):
        jaxcam.probe(Small(), LAYER, variables={})
    with pytest.raises(TypeError, match="call= is for a model, not for split="):
        jaxcam.probe(split=(jnp.sin, jnp.cos), call={"train": False})
    with pytest.raises(TypeError, match="not both"):
        jaxcam.probe(Small(), LAYER, split=(jnp.sin, jnp.cos))
    with pytest.raises(TypeError, match="takes a model and the path"):
        jaxcam.probe(Small())
    with pytest.raises((TypeError, ValueError), match=r"\(1, 12, 14, 3\) is one volume .* jax\.vmap"):
        small()(IMAGE[None])
    with pytest.raises(TypeError, match="got dtype uint8"):
        small()(np.zeros((12, 14, 3), np.uint8))
    with pytest.raises(ValueError, match="must keep the activation's shape"):
        small()(IMAGE, lambda a: a[:2])


@pytest.mark.parametrize("kind", [Small, linen.Dense])
def test_a_class_is_not_a_model(kind):
    with pytest.raises(TypeError, match=rf"must be an instance; got the class {kind.__name__}"):
        jaxcam.probe(kind, "stem")
