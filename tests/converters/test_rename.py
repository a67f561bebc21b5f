"""A user's own names: prefixes to replace, and the recipe in the error where that is all that a checkpoint needs."""

import re

import numpy as np
import pytest
from small_net import abstract, random_state

import converters
from converters._rename import recipe, renamed

STATE = random_state()


def prefixed(prefix, state, *, but=()):
    """`state` with a prefix before all names but those that begin with one of `but`."""
    return {key if key.startswith(tuple(but)) else prefix + key: value for key, value in state.items()}


def swapped(old, new, state=STATE):
    return {re.sub(f"^{re.escape(old)}", new, key): value for key, value in state.items()}


# What a training script wrote, and the rename that makes it fit.
SCRIPTS = {
    "a backbone": (prefixed("backbone.", STATE), {"backbone.": ""}),
    "an array too many": (prefixed("net.", STATE) | {"net.unused": np.zeros(2)}, None),
    "a Lightning module's attribute": (prefixed("classifier.", STATE), {"classifier.": ""}),
    "a backbone, and the head outside": (prefixed("backbone.", STATE, but=["fc."]), {"backbone.": ""}),
    "a backbone, and a head of another name": (
        prefixed("backbone.", swapped("fc.", "head."), but=["head."]),
        {"backbone.": "", "head.": "fc."},
    ),
    "a head behind a dropout": (swapped("fc.", "fc.1."), {"fc.1.": "fc."}),
    "a backbone with a head behind a dropout": (
        prefixed("backbone.", swapped("fc.", "fc.1.")),
        {"backbone.": "", "backbone.fc.1.": "fc."},
    ),
    "two levels": (prefixed("net.encoder.", STATE), {"net.encoder.": ""}),
    "a prefix that is taken off anyway": (prefixed("module.backbone.", STATE), {"backbone.": ""}),
    "something else": ({key: value for key, value in STATE.items() if not key.startswith("norm.")}, None),
    "a head of another width": (
        swapped("fc.", "fc.1.") | {"fc.1.weight": np.zeros((5, 7), np.float32)},
        None,
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_error_says_what_to_pass(script):
    state, wanted = SCRIPTS[script]
    with pytest.raises(ValueError, match="does not fit") as error:
        converters.from_torch(abstract(), state)
    if wanted is None:
        assert "rename" not in str(error.value)
        return
    assert str(error.value).endswith(f"pass rename={wanted}")
    again = converters.to_torch(converters.from_torch(abstract(), state, rename=wanted))
    for key, value in STATE.items():
        np.testing.assert_array_equal(again[key], value, key)


def test_a_checkpoint_of_a_training_script(tmp_path):
    """The error of `load` says it, for another number of classes too; what it says makes the checkpoint load."""
    from flax import nnx

    from converters._fit import shapes
    from jaxcam import models

    wanted = shapes(nnx.eval_shape(lambda: models.build("cifar_resnet20", num_classes=4)))
    rng = np.random.default_rng(0)
    state = {key: rng.random(shape, np.float32) for key, shape in wanted.items()}
    theirs = prefixed("backbone.", swapped("linear.", "linear.1.", state))
    np.savez(tmp_path / "mine.npz", **theirs)
    with pytest.raises(ValueError, match="does not fit") as error:
        converters.load("cifar_resnet20", tmp_path / "mine.npz")
    said = re.search(r"pass rename=(\{.*\})$", str(error.value))
    assert said, error.value
    rename = {"backbone.": "", "backbone.linear.1.": "linear."}
    assert said[1] == str(rename)
    again = converters.to_torch(converters.load("cifar_resnet20", tmp_path / "mine.npz", rename=rename))
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value, key)


def test_the_longest_prefix_renames_and_once():
    arrays = {"a.b.c": 1, "a.c": 2, "d": 3}
    assert renamed(arrays, {"a.": "b.", "a.b.": "x."}) == {"x.c": 1, "b.c": 2, "d": 3}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("rename", "error", "words"),
    [
        (
            {"backbon.": ""},
            ValueError,
            r"no name begins with 'backbon\.'; they begin with backbone\.",
        ),
        (
            {"backbone.features.0.": "x.", "backbone.features.1.": "x."},
            ValueError,
            "two arrays would be called",
        ),
        (["backbone."], TypeError, r"rename maps prefixes .* got \['backbone\.'\]"),
        ({"backbone.": None}, TypeError, "rename maps prefixes"),
    ],
)
def test_mistakes(rename, error, words):
    with pytest.raises(error, match=words):
        converters.from_torch(abstract(), prefixed("backbone.", STATE), rename=rename)


def test_a_prefix_that_reading_has_taken_off_may_be_given():
    converters.from_torch(abstract(), prefixed("model.", STATE), rename={"model.": ""})


def test_a_recipe_is_not_a_guess():
    """None where the names fit, but not the shapes."""
    wanted = {"fc.weight": (5, 7), "fc.bias": (5,)}
    arrays = {f"net.{key}": np.zeros(shape) for key, shape in wanted.items()}
    assert recipe(arrays, wanted) == {"net.": ""}
    assert recipe(arrays | {"net.fc.weight": np.zeros((5, 8))}, wanted) is None
    assert recipe(arrays | {"net.other.weight": np.zeros((5, 8))}, wanted) is None
