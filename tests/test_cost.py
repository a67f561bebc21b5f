"""Compiled FLOPs over the forward pass, for ResNet-50 at 224 x 224: nothing before the layer is differentiated."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from selection import exhaustive

import jaxcam
from jaxcam import models
from jaxcam.probes import _flops

IMAGE = jax.ShapeDtypeStruct((224, 224, 3), jnp.float32)


def flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def model():
    return nnx.eval_shape(lambda: models.build("resnet50"))  # shapes are enough to compile


@pytest.fixture(scope="module")
def forward(model):
    return flops(lambda p, x: p(x)[0], jaxcam.probe(model, "layer4"), IMAGE)


@pytest.mark.parametrize(
    ("method", "layer", "limit"),
    exhaustive(  # the leanest and the most costly of the family
        [
            (method, *at)
            for method in ("hirescam", "eigengradcam")
            for at in (("layer4", 1.01), ("layer3", 1.25))
        ],
        lambda case: case[:2] != ("eigengradcam", "layer3"),
    ),
)
def test_one_class(model, forward, method, layer, limit):
    cost = flops(
        jaxcam.METHODS[method], jaxcam.probe(model, layer), IMAGE, jax.ShapeDtypeStruct((), jnp.int32)
    )
    assert 1.0 <= cost / forward <= limit


def test_four_layers_cost_what_the_first_does(model):
    def gradients(probe, image, target):
        return probe.look(image, target).gradient

    names = ("layer1", "layer2", "layer3", "layer4")
    target = jax.ShapeDtypeStruct((), jnp.int32)
    several, first = (
        flops(gradients, jaxcam.probe(model, each), IMAGE, target) for each in (names, "layer1")
    )
    assert 1.0 <= several / first <= 1.01


@pytest.mark.parametrize(
    ("method", "of"),
    [(jaxcam.over_layers(jaxcam.layercam), jaxcam.layercam), (jaxcam.refinecam, jaxcam.gradcampp)],
    ids=["over_layers", "refinecam"],
)
def test_over_layers_is_one_pass(model, method, of):
    probe = jaxcam.probe(model, ("layer1", "layer2", "layer3", "layer4"))
    target = jax.ShapeDtypeStruct((), jnp.int32)
    cost = flops(method, probe, IMAGE, target)
    first = flops(of, probe["layer1"], IMAGE, target)
    assert 1.0 <= cost / first <= 1.01


@pytest.mark.parametrize(
    "name", exhaustive(["resnet50", "mobilenet_v2"], lambda name: name != "mobilenet_v2")
)
def test_ablation_before_a_linear_head_is_one_backward_pass(name):
    probe = jaxcam.probe(nnx.eval_shape(lambda: models.build(name)), models.default_layer(name))
    once = flops(lambda p, x: p(x)[0], probe, IMAGE)
    cost = flops(jaxcam.ablationcam, probe, IMAGE, jax.ShapeDtypeStruct((), jnp.int32))
    assert 1.0 <= cost / once <= 1.02


def test_conceptors_add_little(model):
    probe, target = jaxcam.probe(model, "layer4"), jax.ShapeDtypeStruct((), jnp.int32)
    base, over = (flops(method, probe, IMAGE, target) for method in (jaxcam.gradcam, jaxcam.conceptorcam))
    by_lapack = 3 * 2 * (2048 + 49) * 49**2  # the QR decompositions, which the compiler does not count
    assert 1.0 < (over + by_lapack) / base <= 1.02


def test_ten_classes_share_one_forward(model, forward):
    many = jax.vmap(jaxcam.gradcam, in_axes=(None, None, 0))
    cost = flops(many, jaxcam.probe(model, "layer4"), IMAGE, jax.ShapeDtypeStruct((10,), jnp.int32))
    assert cost / forward <= 1.05


def test_explain_runs_the_model_once_for_maps_targets_and_output(model, forward):
    def program(probe, images):
        return jaxcam.explain(probe, images, jaxcam.top(5), with_output=True)

    cost = flops(program, jaxcam.probe(model, "layer4"), jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
    assert cost / forward <= 1.05


def test_traced_count_leaves_out_what_a_loop_never_runs(model):
    probe = jaxcam.probe(model, "layer4")
    once = _flops.flops(lambda p, x: p(x)[0], probe, IMAGE)
    target = jaxcam.probability(0)  # of a logit, the head is linear, and no loop is needed
    ablation = _flops.flops(lambda p, x: jaxcam.ablationcam(p, x, target, chunk=16), probe, IMAGE)
    heads = 2048 * 2 * 2048 * 1000  # a linear layer for each of 2048 channels
    assert once + heads <= ablation <= 1.01 * (once + heads)


def test_reciprocam_is_one_forward_pass_and_a_head_for_each_position(model, forward):
    """Compiled, and with all positions at once: a loop's body would be counted once."""
    probe, heads = jaxcam.probe(model, "layer4"), 7 * 7 * 2 * 2048 * 1000
    cost = flops(lambda p, x: jaxcam.reciprocam(p, x, 0, chunk=49), probe, IMAGE)
    assert forward + heads <= cost <= 1.01 * (forward + heads)
    # From a layer before, a head is the whole last stage.
    probe = jaxcam.probe(model, "layer3")
    stage = _flops.flops(lambda p, x, a: p(x, lambda _: a)[0], probe, IMAGE, _activation(probe))
    found = _flops.flops(lambda p, x: jaxcam.reciprocam(p, x, 0, chunk=14), probe, IMAGE)
    whole = _flops.flops(lambda p, x: p(x)[0], probe, IMAGE)
    assert stage < 0.25 * whole
    # The class is given, so the whole image's output is not needed: the head runs once less.
    assert whole + (14 * 14 - 1) * stage <= found <= whole + 14 * 14 * stage


def _activation(probe):
    return jax.eval_shape(lambda p, x: p(x)[1], probe, IMAGE)
