"""A model of the user's own, `package.module:function`, and an exported explainer, for every command."""

import csv
import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint
import pytest
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

import converters
import jaxcam
from jaxcam.cli._factory import find_factory
from jaxcam.cli._open_model import Wanted, open_model
from jaxcam.cli._pixels import Pixels, as_preprocess
from jaxcam.cli.evaluate._models import Models, checkpoints_of

SOURCE = '''
import jax
import jax.numpy as jnp
from flax import nnx

import jaxcam
from jaxcam.models import Preprocess

SIZE = 16


class Net(nnx.Module):
    """An embedding keeps it from having a spelling in torch; `plain` has one."""

    def __init__(self, plain=False, dtype=jnp.float32, seed=0):
        rngs = nnx.Rngs(seed)
        self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs, dtype=dtype)
        self.scale = None if plain else nnx.Embed(1, 6, rngs=rngs)
        self.head = nnx.Linear(6, 4, rngs=rngs, dtype=dtype)

    def __call__(self, images):
        x = jax.nn.relu(self.conv(images))
        if self.scale is not None:
            x = x * (2 + self.scale(jnp.zeros((1, 1, 1), int)))
        return self.head(x.mean((1, 2)))


def make():
    return Net()


def described(dtype=jnp.float32):
    model = Net(plain=True, dtype=dtype)
    model.default_layer = "conv"
    model.preprocess = Preprocess(resize=20, size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    return model


def pair(images):
    x = jaxcam.tap(images * 2, "double")
    return x.mean((1, 2)), x


def looked():
    return jaxcam.probe(lambda images: pair(images)[0], "double")


def unread():
    return jaxcam.probe(pair, "double")


def two():
    return jaxcam.probe(described(), ("conv", jaxcam.INPUT))


def fixed():
    model = described()
    model.head = nnx.Linear(7, 4, rngs=nnx.Rngs(0))
    return model


def broken():
    raise RuntimeError("no disk")


def needy(depth):
    return Net()


def nothing():
    return 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `ownmodels` in the working folder, and one that needs what is not installed."""
    (tmp_path / "ownmodels.py").write_text(SOURCE)
    (tmp_path / "halfmodels.py").write_text("import torchhub_of_nowhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    yield tmp_path
    for name in ("ownmodels", "halfmodels"):
        sys.modules.pop(name, None)


RECIPE = jaxcam.models.Preprocess(resize=20, size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture
def command(jaxcam_command, module, folder):
    """Runs a command on the five pictures into the folder `out`."""

    def run(name, *arguments):
        pictures = (folder,) if name in ("explain", "run", "evaluate") else ()
        return jaxcam_command(name, *pictures, *arguments, defaults=("--out", "out"))

    return run


def images_of(scene):
    return np.stack([RECIPE(scene(seed)) for seed in range(5)])


def net(**options):
    return find_factory("ownmodels:Net")(**options)


def opened(name, weights=None, layer: str | None = "conv", **pixels):
    pixels = {"image_size": 16, "mean": "0.5", "std": "0.25"} | pixels
    return open_model(
        Wanted(
            model=name, weights=weights, layer=layer, labels=None, dtype="float32", pixels=Pixels(**pixels)
        )
    )


def test_a_function_whose_model_says_the_rest(command, scene):
    result = command("explain", "--model", "ownmodels:described", "--raw", "--batch", 5)
    assert result.code == 0, result.text
    maps, outputs = jaxcam.explain(
        jaxcam.probe(net(plain=True), "conv"), images_of(scene), raw=True, with_output=True
    )
    for number, name in enumerate("abcde"):
        np.testing.assert_allclose(np.load(f"out/{name}.npy"), maps[number], atol=1e-5)
    index = json.loads(Path("out/index.json").read_text())
    assert [each["maps"][0]["class"] for each in index["pictures"]] == np.argmax(outputs, 1).tolist()
    run = index["run"]
    assert (run["model"], run["weights"], run["layer"]) == (
        "ownmodels:described",
        "ownmodels:described",
        "conv",
    )
    assert len(run["sha256"]) == 64


def test_options_go_before_what_the_model_says(module):
    found = opened("ownmodels:described", layer=None, image_size=24, mean=None, std="0.5,1,2")
    assert found.preprocess == dataclasses.replace(RECIPE, size=24, resize=30, std=(0.5, 1.0, 2.0))
    found = opened("ownmodels:make", resize=18, interpolation="bicubic")
    assert found.preprocess == dataclasses.replace(RECIPE, resize=18, interpolation=Image.Resampling.BICUBIC)


@pytest.mark.parametrize("spelling", ["torch", "own", "slashes", "orbax"])
def test_a_checkpoint_by_the_names_of_parameters(module, spelling):
    trained = net(plain=spelling == "torch", seed=5)
    state = nnx.to_flat_state(nnx.state(trained))
    path = module / ("trained" if spelling == "orbax" else "trained.safetensors")
    if spelling == "torch":
        converters.save(trained, path, name="ownmodels:described")
    elif spelling == "orbax":
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, nnx.to_pure_dict(nnx.state(trained)))
    else:
        mark = "/" if spelling == "slashes" else "."
        save_file({mark.join(map(str, where)): np.array(each.get_value()) for where, each in state}, path)
    found = opened(f"ownmodels:{'described' if spelling == 'torch' else 'make'}", path)
    images = jax.random.normal(jax.random.key(0), (1, 16, 16, 3))
    np.testing.assert_allclose(found.probe(images[0])[0], trained(images)[0], atol=1e-6)
    assert found.weights["weights"] == str(path)


def test_a_checkpoint_that_does_not_fit(module):
    arrays = {"conv.kernel": np.zeros((3, 3, 3, 6), np.float32), "conv.bias": np.zeros(7, np.float32)}
    save_file(arrays, "other.safetensors")
    with pytest.raises(
        ValueError, match=r"other.safetensors as ownmodels:make: .*\n.*missing: head.bias"
    ) as told:
        opened("ownmodels:make", Path("other.safetensors"))
    assert "conv.bias (checkpoint (7,), model (6,))" in str(told.value)


def test_a_function_that_returns_a_probe(module):
    found = opened("ownmodels:looked", layer=None)
    assert found.probe(np.ones((16, 16, 3), np.float32))[0].tolist() == [2, 2, 2]
    assert found.layer == "double"


def test_a_data_set_with_a_function(command, scene):
    result = command(
        "run", "--model", "ownmodels:described", "--stored", "raw", "--out", "own.zarr", "--batch", 5
    )
    assert result.code == 0, result.text
    store = jaxcam.datasets.open_store("own.zarr")
    expected = jaxcam.explain(jaxcam.probe(net(plain=True), "conv"), images_of(scene), raw=True)
    np.testing.assert_allclose(store["maps"], expected, rtol=1e-2, atol=1e-3)
    assert store.attributes["layer"] == "conv"


@pytest.mark.parametrize(
    ("names", "weights", "found"),
    [
        (["resnet18", "a:b"], ["w"], ["w", None]),
        (["a:b", "resnet18", "c.jaxcam"], ["w"], [None, "w", None]),
        (["a:b", "resnet18"], ["v", "w"], ["v", "w"]),
        (["a:b"], [], [None]),
        (
            ["resnet18", "resnet34"],
            ["w"],
            "each model needs its weights: got --model 2 and --weights 1 times",
        ),
        (["a:b", "c:d"], ["w"], "each model needs its weights: got --model 2 and --weights 1 times"),
    ],
)
def test_whose_weights_are_given(names, weights, found):
    given = Models(
        model=names, weights=[Path(each) for each in weights], layer=[], labels=None, dtype="float32"
    )
    if isinstance(found, str):
        with pytest.raises(ValueError, match=found):
            checkpoints_of(given)
    else:
        assert [each and str(each) for each in checkpoints_of(given)] == found


def test_conversion_of_a_function_s_model(jaxcam_command, module):
    result = jaxcam_command("convert", "ownmodels:described", "--out", "own.npz")
    assert result.code == 0, result.text
    np.testing.assert_array_equal(
        converters.read(Path("own.npz"))["head.weight"], converters.to_torch(net(plain=True))["head.weight"]
    )
    result = jaxcam_command("convert", "ownmodels:make", "--out", "other.npz")
    assert result.code == 2
    assert "is an nnx.Embed, which has no rule" in result.error


@pytest.fixture
def explainer(command):
    """One of raw maps."""
    made = ("--model", "ownmodels:described", "--method", "hirescam", "--raw", "--platform", "cpu")
    Path("names.txt").write_text("ant\nbee\ncow\ndog\n")
    result = command("export", *made, "--labels", "names.txt", "--out", "made.jaxcam")
    assert result.code == 0, result.text
    return Path("made.jaxcam")


def test_an_explainer_brings_all_it_needs(command, explainer, scene):
    result = command("explain", "--model", explainer, "--target", "bee", "--target", 3, "--raw", "--batch", 5)
    assert result.code == 0, result.text
    probe = jaxcam.probe(net(plain=True), "conv")
    expected = jaxcam.explain(probe, images_of(scene), np.tile([1, 3], (5, 1)), method="hirescam", raw=True)
    np.testing.assert_allclose(np.load("out/b.1-bee.npy"), expected[1, 0], atol=1e-5)
    np.testing.assert_allclose(np.load("out/e.3-dog.npy"), expected[4, 1], atol=1e-5)
    run = json.loads(Path("out/index.json").read_text())["run"]
    assert (run["model"], run["method"], run["layer"]) == ("made.jaxcam", "hirescam", "conv")

    measured = command(
        "evaluate", "--model", explainer, "--out", "scores", "--steps", 2, "--metric", "average_drop"
    )
    assert measured.code == 0, measured.text
    methods = {row["method"] for row in csv.DictReader(Path("scores/summary.csv").read_text().splitlines())}
    assert "hirescam" in methods
    assert "gradcam" not in methods

    result = command("run", "--model", explainer, "--target", "top-2", "--out", "made.zarr", "--batch", 5)
    assert result.code == 0, result.text
    maps = jaxcam.datasets.open_store("made.zarr")["maps"]
    shown = jaxcam.explain(probe, images_of(scene), jaxcam.top(2), method="hirescam")
    np.testing.assert_allclose(maps, shown, atol=2e-3)


def test_an_explainer_of_maps_for_display(command, module):
    made = ("--model", "ownmodels:described", "--platform", "cpu", "--out", "shown.jaxcam")
    assert command("export", *made).code == 0
    result = command("explain", "--model", "shown.jaxcam", "--raw")
    assert "--raw: this explainer gives maps for display" in result.error
    found = opened("shown.jaxcam", layer=None, image_size=None, mean=None, std=None)
    image = np.random.default_rng(0).normal(size=(16, 16, 3)).astype(np.float32)
    expected = jaxcam.explain(jaxcam.probe(net(plain=True), "conv"), image[None], 2)
    assert found.own is not None
    np.testing.assert_allclose(found.own(found.probe, image, 2), expected[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"class 9|no class 9"):
        jaxcam.explain(found.probe, image[None], 9, method=found.own)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"resize": 20}, "it: its preprocess says no size"),
        ({"size": 16, "mena": 0}, "no field of a preprocessing 'mena'; did you mean 'mean'?"),
        ({"size": 0}, "the size of its preprocess cannot be 0"),
        ({"size": 16, "mean": "abc"}, "the mean of its preprocess cannot be 'abc'"),
        ({"size": 16, "std": [1, 0, 1]}, "the std of its preprocess cannot be"),
        ({"size": 16, "interpolation": "cubic"}, "no interpolation 'cubic'; did you mean 'bicubic'?"),
        ({"size": 16, "interpolation": 3}, "the interpolation of its preprocess cannot be 3"),
        ("imagenet", "must be a jaxcam.models.Preprocess, or a dictionary of its fields; got a str"),
    ],
)
def test_a_preprocessing_that_cannot_be(said, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        as_preprocess(said, "it")


def test_a_preprocessing_as_a_dictionary():
    said = {"size": 16, "mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bicubic"}
    found = as_preprocess(said, "it")
    assert found is not None
    assert (found.resize, found.interpolation, found.std) == (16, Image.Resampling.BICUBIC, (1, 1, 1))


REFUSED = {
    "weights": (["--weights", "a.npz"], "--weights: made.jaxcam is an explainer, which brings its own"),
    "layer": (["--layer", "conv"], "--layer: made.jaxcam is an explainer"),
    "dtype": (["--dtype", "bfloat16"], "computes as it was exported"),
    "method": (
        ["--method", "gradcam"],
        "--method gradcam: this explainer was exported with hirescam, and has no",
    ),
    "option": (
        ["--option", "fuse=channel_sum"],
        "--option fuse=channel_sum: the options of an explainer are those",
    ),
    "size": (["--image-size", "32"], "made.jaxcam takes images of 16x16, not of 32x32"),
    "class": (["--target", "cat"], "no class 'cat'"),
}


def test_what_an_explainer_cannot_do(command, explainer, jaxcam_command):
    for arguments, words in REFUSED.values():
        result = command("explain", "--model", explainer, *arguments)
        assert result.code == 2
        assert words in result.error
    assert not Path("out").exists()
    result = command("evaluate", "--model", explainer, "--method", "gradcam", "--out", "scores")
    assert "has no other method" in result.error
    assert "is an explainer already" in command("export", "--model", explainer, "--out", "b.jaxcam").error
    result = jaxcam_command("convert", explainer, "--out", "b.npz")
    assert "is an explainer, a program with its weights" in result.error
    Path("made.jaxcam").write_text("no zip")
    assert "made.jaxcam was not written by jaxcam.export" in command("explain", "--model", explainer).error


MISTAKES = {
    "module": (["ownmodel:make"], "no module 'ownmodel'; did you mean 'ownmodels'?"),
    "folder": (["nowhere:make"], "Looked in {here} and in what is installed"),
    "package": (["ownmodels.deep:make"], "no module 'ownmodels.deep'"),
    "what it imports": (
        ["halfmodels:make"],
        "halfmodels imports 'torchhub_of_nowhere', which is not installed",
    ),
    "function": (["ownmodels:mke"], "no function 'mke'; did you mean 'make'?"),
    "no function": (["ownmodels:SIZE"], "ownmodels:SIZE is a int: name a function that builds the model"),
    "spelling": (["ownmodels:"], "given as package.module:function; got 'ownmodels:'"),
    "arguments": (["ownmodels:needy"], "is called without arguments, and it needs depth"),
    "several layers": (["ownmodels:two"], "a probe of several layers, and commands look at one"),
    "what it takes": (["ownmodels:fixed"], "ownmodels:fixed does not take images (16, 16, 3): "),
    "failure": (["ownmodels:broken"], "ownmodels:broken() failed: RuntimeError: no disk"),
    "no model": (["ownmodels:nothing"], "returned a int: it should return a flax.nnx.Module"),
    "no layer": (
        ["ownmodels:make"],
        "name a layer with --layer, or give the model an attribute `default_layer`",
    ),
    "layer": (["ownmodels:make", "--layer", "cnv"], "no layer 'cnv'; did you mean 'conv'?"),
    "no preprocessing": (
        ["ownmodels:make", "--layer", "conv", "--mean", "0"],
        "pass --image-size, --std (ImageNet's",
    ),
    "mean": (
        ["ownmodels:described", "--mean", "1,2"],
        "--mean is a number, or one for each of red, green and blue",
    ),
    "std": (
        ["ownmodels:described", "--std", "0"],
        "--std is what values are divided by, so above 0; got '0'",
    ),
    "dtype": (["ownmodels:make", "--dtype", "bfloat16"], "ownmodels:make takes no argument `dtype`"),
    "layer of a probe": (
        ["ownmodels:looked", "--layer", "x"],
        "returns a probe of double: leave out --layer",
    ),
    "weights of a probe": (
        ["ownmodels:looked", "--weights", "a.npz"],
        "which has its weights: leave out --weights",
    ),
    "output": (
        ["ownmodels:unread", "--image-size", "8", "--mean", "0", "--std", "1"],
        "its output for one image is tuple",
    ),
    "weights": (["ownmodels:make", "--weights", "a.npz"], "no checkpoint at"),
    "no weights": (["resnet18"], "resnet18 needs --weights: a checkpoint, or the name of a published one"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_a_line(command, unchecked, case):
    arguments, words = MISTAKES[case]
    result = command("explain", "--model", *arguments)
    assert result.crashed is None
    assert result.code == 2
    (line,) = result.error.splitlines()
    assert words.format(here=os.getcwd()) in line
    assert not Path("out").exists()


def test_old_explainers_without_a_word_on_pictures(command, module):
    import surface

    surface.write_export(module)
    result = command("explain", "--model", "explainer.jaxcam")
    assert "explainer.jaxcam does not say how pictures are preprocessed: pass --mean, --std" in result.error
    result = command("explain", "--model", "explainer.jaxcam", "--mean", 0, "--std", 1)
    assert result.code == 0, result.text
