"""The other commands: help, version, convert, methods, models, demo."""

import contextlib
import inspect
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import converters
import jaxcam
from jaxcam import models
from jaxcam.cli._cards import options_of
from jaxcam.methods import GROUPS, METHODS
from jaxcam.methods._costs import COSTS
from jaxcam.methods._expression import TRANSFORMS

HEAVY = {"jax", "flax", "numpy", "matplotlib", "rich", "PIL", "converters"}


def test_help_waits_for_nothing():
    code = f"import sys, jaxcam.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command_and_version(jaxcam_command):
    text = jaxcam_command("--help").text
    for command in ("explain", "convert", "methods", "models", "classes", "demo"):
        assert f"  {command} " in text
        assert jaxcam_command(command, "--help").code == 0
    assert jaxcam_command("--version").text.split() == ["jaxcam,", "version", jaxcam.__version__]
    assert jaxcam_command("explian").code == 2


def test_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jaxcam", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("jaxcam, version")


@pytest.mark.parametrize("name", ["b.safetensors", "b"])
def test_convert_keeps_every_weight(jaxcam_command, weights, tmp_path, name):
    out = tmp_path / name
    result = jaxcam_command("convert", "cifar_resnet20", "--weights", weights, "--out", out)
    assert result.code == 0, result.text
    before, after = converters.read(weights), converters.read(out)
    counters = after.keys() - before.keys()
    assert all(key.endswith(".num_batches_tracked") for key in counters)
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
    again = jaxcam_command("convert", "cifar_resnet20", "--weights", weights, "--out", out)
    assert again.code == 2
    assert "pass --overwrite" in again.error
    assert (
        jaxcam_command("convert", "cifar_resnet20", "--weights", weights, "--out", out, "--overwrite").code
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar_resnet21", "--out", "x.npz"], "no model 'cifar_resnet21'; did you mean"),
        (["cifar_resnet32", "--out", "x.npz"], "missing: layer1.3"),
        (["cifar_resnet20", "--out", "x.pth"], "no format for '.pth'"),
    ],
)
def test_convert_tells_mistakes(jaxcam_command, weights, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = jaxcam_command("convert", *arguments, "--weights", weights)
    assert result.code == 2
    assert message in result.error
    assert len(result.error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_methods_are_listed_from_their_docstrings(jaxcam_command):
    rows = json.loads(jaxcam_command("methods", "--json").text)
    assert [row["name"] for row in rows] == [*METHODS, *TRANSFORMS]
    assert list(METHODS) == list(COSTS)
    gradcam = next(row for row in rows if row["name"] == "gradcam")
    assert gradcam == {
        "name": "gradcam",
        "summary": "Grad-CAM: w_k = mean G_k, M = Σ_k w_k A_k.",
        "group": "gradient",
        "when": gradcam["when"],
        "source": 'Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391',
        "marks": ["paper"],
        "forward": "1",
        "gradient": True,
    }
    assert gradcam["when"].startswith("a first look")
    text = jaxcam_command("methods").text
    assert all(name in text for name in (*GROUPS, *METHODS, *TRANSFORMS))
    assert "Selvaraju et al. 2017, arXiv 1610.02391" in text


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_a_method_is_explained(name):
    listed = {row["name"]: row for row in options_of(name)}
    options = {each.name: each for each in inspect.signature(METHODS[name]).parameters.values()}
    assert list(listed) == [each for each in options if options[each].kind is inspect.Parameter.KEYWORD_ONLY]
    for row in listed.values():
        assert row["meaning"].strip(" .")
        assert "_empty" not in row["default"]


def test_options_of_a_method(jaxcam_command):
    rows = json.loads(jaxcam_command("methods", "scorecam", "--json").text)
    assert {"name": "baseline", "default": "zero"}.items() <= rows[2].items()
    assert rows[2]["meaning"].startswith('what stands where a mask is 0: "zero", or "blur"')
    text = jaxcam_command("methods", "scorecam").text
    assert "Wang et al. 2020" in text
    assert "When: no gradient is to be had" in text
    assert "Cost: 1 + K forward passes" in text
    assert "number of channels to score, those of the largest standard deviation" in " ".join(text.split())
    result = jaxcam_command("methods", "Score-CAM")
    assert (result.code, "did you mean 'scorecam'?" in result.error) == (2, True)


def test_a_transform_has_a_card(jaxcam_command):
    text = jaxcam_command("methods", "smoothed").text
    assert "Cost: samples times that of the method" in text
    assert "Written as a method, such as --method 'smoothed(gradcam)'." in text


@pytest.mark.parametrize("given", [("--method", "scorecam"), ("--method=scorecam",)])
@pytest.mark.parametrize("command", ["explain", "run", "evaluate", "export"])
def test_help_beside_a_method_lists_its_options(jaxcam_command, command, given):
    text = jaxcam_command(command, *given, "--help").stdout
    assert "Options of scorecam, as --option NAME=VALUE" in text
    assert "align_corners=True" in text
    assert "Options of" not in jaxcam_command(command, "--help").stdout


def test_help_beside_a_method_that_is_not_there(jaxcam_command):
    result = jaxcam_command("explain", "--method", "gradcamm", "--help")
    assert (result.code, "did you mean 'gradcam'?" in result.error) == (2, True)


def test_classes_are_listed(jaxcam_command, tmp_path):
    rows = json.loads(jaxcam_command("classes", "TABBY", "--json").text)
    assert rows == [{"index": 281, "name": "tabby", "synset": "n02123045"}]
    assert json.loads(jaxcam_command("classes", "n02123045", "--json").text) == rows
    assert jaxcam_command("classes", "cat", "--model", "cifar_resnet20").stdout.split()[-2:] == ["3", "cat"]
    assert len(json.loads(jaxcam_command("classes", "--json").text)) == 1000
    (tmp_path / "names").write_text("left lung\nright lung\nheart\n")
    found = json.loads(jaxcam_command("classes", "lung", "--labels", tmp_path / "names", "--json").text)
    assert [row["index"] for row in found] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabyb"], "no class 'tabyb'; did you mean 'tabby'?"),
        (["cat", "--model", "resnet5"], "no model 'resnet5'; did you mean 'resnet50'?"),
        (
            ["cat", "--model", "own:net"],
            "own:net does not say what its classes are called: pass a file of names",
        ),
        (["cat", "--labels", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_classes_that_are_not_there(jaxcam_command, arguments, message):
    result = jaxcam_command("classes", *arguments)
    assert result.code == 2
    assert result.crashed is None
    assert message in result.error


@pytest.mark.parametrize("name", [name for name in METHODS if name not in GROUPS["attention"]])
def test_cost_says_whether_the_head_is_differentiated(name):
    """A head that cannot be differentiated, attention before it or not, stops exactly the methods that are said to need
    a gradient."""
    weights = jax.random.normal(jax.random.key(0), (4, 5))

    def head(activation):
        tokens = activation.reshape(1, -1, 4)
        activation = (jax.nn.softmax(tokens @ tokens.mT, axis=-1) @ tokens).reshape(activation.shape)
        shape = jax.ShapeDtypeStruct(activation.shape, activation.dtype)
        opaque = jax.pure_callback(lambda a: a, shape, activation, vmap_method="broadcast_all")
        return jnp.matmul(opaque.mean((1, 2)), weights)

    probe = jaxcam.probe(split=(lambda images: jnp.concatenate([images, images[..., :1]], -1), head))
    image = jax.random.uniform(jax.random.key(1), (6, 6, 3))
    options = {"weights": weights} if name == "cam" else {}
    stops = pytest.raises(ValueError, match="Pure callbacks do not support JVP")
    with stops if COSTS[name].gradient else contextlib.nullcontext():
        METHODS[name](probe, image, 1, **options)


def test_models_are_listed_with_torchvisions_counts(jaxcam_command):
    rows = {row["name"]: row for row in json.loads(jaxcam_command("models", "squeezenet", "--json").text)}
    assert rows["squeezenet1_1"] == {
        "name": "squeezenet1_1",
        "parameters": 1_235_496,
        "layer": models.default_layer("squeezenet1_1"),
        "size": 224,
    }
    assert set(rows) == {name for name in models.names() if "squeezenet" in name}
    text = jaxcam_command("models", "resnet18").text
    assert "11,689,512" in text
    result = jaxcam_command("models", "squeezenet9")
    assert result.code == 2
    assert "no model 'squeezenet9'; did you mean 'squeezenet1_" in result.error


def test_demo_gets_its_folder(jaxcam_command, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr("jaxcam.demo.run", ran.append, raising=False)
    assert jaxcam_command("demo", "--out", tmp_path).code == 0
    assert ran == [tmp_path]
