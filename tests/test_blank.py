"""A map that says nothing is not given without a word: in Python it is a warning, with the layer to take."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from nets import Small

import jaxcam
from jaxcam.probes import _blank
from jaxcam.probes._nearby import nearby

IMAGES = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
GOOD = "encoder.layers.encoder_layer_10.ln_1"


@pytest.fixture(scope="module")
def vit():
    model = tiny.build("tiny_vit")
    model.default_layer = GOOD  # as models.build notes it
    return model


@pytest.mark.parametrize("layer", ["encoder.ln", "encoder", "encoder.layers.encoder_layer_10"])
def test_a_layer_of_which_the_class_token_alone_is_read(vit, layer):
    probe = jaxcam.probe(vit, layer)
    message = (
        f"the map of image 0 .and of 2 more of 3. is zero everywhere: the gradient of layer '{layer}' is zero at every "
        f"position, .*: take layer '{GOOD}', the model's default"
    )
    with pytest.warns(jaxcam.MapWarning, match=message):
        maps = jaxcam.explain(probe, IMAGES, 2)
    assert not maps.any()


def test_several_targets_and_raw_maps(vit):
    probe = jaxcam.probe(vit, "encoder.ln")
    for targets in (jaxcam.top(2), np.array([[0, 1], [2, 3], [4, 5]])):
        with pytest.warns(jaxcam.MapWarning, match=GOOD):
            jaxcam.explain(probe, IMAGES, targets, method="hirescam", raw=True)


def test_of_another_model_a_layer_with_a_gradient_is_looked_for():
    model = tiny.build("tiny_vit")  # it says no default layer
    with pytest.warns(jaxcam.MapWarning, match=f"counts: take layer '{GOOD}', which has one"):
        jaxcam.explain(jaxcam.probe(model, "encoder.ln"), IMAGES, 2, method="layercam")


def test_a_model_without_names_gets_the_general_advice():
    def model(images):
        return jnp.mean(jaxcam.tap(images, "here") * 0, (1, 2)) + 1

    with pytest.warns(jaxcam.MapWarning, match="take the block before it, or that block's first norm"):
        jaxcam.explain(jaxcam.probe(model, "here"), IMAGES, 2, method="layercam")


NAMES = [
    "stem",
    "blocks",
    "blocks.0",
    "blocks.0.norm1",
    "blocks.1",
    "blocks.1.norm1",
    "blocks.1.norm2",
    "blocks.1.mlp",
    "norm",
]


@pytest.mark.parametrize(
    ("here", "found"),
    [
        ("norm", ["blocks.1.norm1", "blocks.1.norm2", "blocks.0"]),
        ("blocks.1", ["blocks.1.norm1", "blocks.1.norm2", "blocks.0"]),
        ("blocks.1.mlp", ["blocks.1.norm1", "blocks.1.norm2", "blocks.0"]),
        ("blocks.1.norm1", ["blocks.1.norm2", "blocks.0"]),
        ("blocks.0.norm1", []),
    ],
)
def test_layers_near_another(here, found):
    assert list(nearby(NAMES, here)) == found


def test_a_model_in_one_row_has_no_layer_nearby():
    assert list(nearby(["conv", "fc"], "conv")) == []


def test_the_default_layer_of_a_built_model():
    model = jaxcam.models.build("cifar_resnet20")
    assert model.default_layer == jaxcam.models.default_layer("cifar_resnet20") == "layer3"
    assert jaxcam.probe(model, "layer1").anatomy.default == "layer3"


def test_evidence_against_the_class_is_not_a_mistake():
    net = Small()
    net.fc.kernel[...] = -jnp.abs(net.fc.kernel[...])
    with warnings.catch_warnings(), jax.log_compiles(False):
        warnings.simplefilter("error")
        maps = jaxcam.explain(jaxcam.probe(net, "blocks.0"), IMAGES[:, :12, :14], 1, method="hirescam")
    assert not maps.any()


def test_not_a_number_names_the_image():
    def model(images):
        activation = jaxcam.tap(jnp.sqrt(images), "here")
        return jnp.mean(activation, (1, 2))

    images = np.abs(IMAGES)
    images[1, 3, 4, 0] = -1
    with pytest.warns(jaxcam.MapWarning, match="the map of image 1 is not finite: activations"):
        jaxcam.explain(jaxcam.probe(model, "here"), images, 0, method="hirescam", raw=True)


def test_only_the_first_call_of_a_program_looks(vit, monkeypatch):
    calls = []
    monkeypatch.setattr("jaxcam._explain.warn_of_blank", lambda *given: calls.append(given))
    probe = jaxcam.probe(vit, GOOD)
    for _ in range(3):
        jaxcam.explain(probe, IMAGES, 2, method="hirescam")
    assert len(calls) == 1
    jax.jit(lambda probe, images: jaxcam.explain(probe, images, 1, method="xgradcam"))(probe, IMAGES)
    assert len(calls) == 1


def test_a_run_looks_at_a_few_maps_only(monkeypatch, unchecked):
    looked = []
    monkeypatch.setattr(_blank, "why_blank", lambda *given: looked.append(given) or "why")
    blank = _blank.Blank(None)
    assert blank.note(np.ones((2, 2)), IMAGES[0], 1) == ""
    notes = [blank.note(np.zeros((2, 2)), IMAGES[0], 1) for _ in range(20)]
    assert set(notes) == {"the map is zero everywhere: why"}
    assert len(looked) == _blank.LOOKS
