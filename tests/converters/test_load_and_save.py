"""load and save: what is written can be read, by us and by others; nothing is lost or half written."""

import dataclasses
import hashlib
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import converters
import jaxcam
from converters import _formats
from converters._fit import shapes
from jaxcam import models
from jaxcam.models._registry import TABLE

NAME = "cifar_resnet20"
ENDINGS = ["a.npz", "a.safetensors", "a", "a.orbax"]


def filled(num_classes, **options):
    """A model with random weights, which costs no compilation."""
    abstract = nnx.eval_shape(lambda: models.build(NAME, num_classes=num_classes, **options))
    rng = np.random.default_rng(num_classes)
    return converters.from_torch(
        abstract, {key: rng.random(shape, np.float32) for key, shape in shapes(abstract).items()}
    )


@pytest.fixture(scope="module")
def model():
    return filled(3)


def assert_identical(a, b):
    a, b = converters.to_torch(a), converters.to_torch(b)
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype, key
        np.testing.assert_array_equal(a[key], b[key], key)


@pytest.mark.parametrize("file", ENDINGS)
def test_what_is_saved_is_loaded(tmp_path, model, file):
    path = tmp_path / "new" / file
    converters.save(model, path, name=NAME)
    loaded = converters.load(NAME, path)
    assert_identical(loaded, model)
    assert nnx.graphdef(loaded) == nnx.graphdef(model)
    assert os.listdir(path.parent) == [file]


@pytest.mark.parametrize("file", ENDINGS)
def test_bfloat16_survives(tmp_path, file):
    model = filled(10, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    converters.save(model, tmp_path / file, name=NAME)
    loaded = converters.load(NAME, tmp_path / file, dtype=jnp.bfloat16)
    assert_identical(loaded, model)
    assert loaded.linear.kernel.dtype == jnp.bfloat16
    assert loaded.linear.dtype == jnp.bfloat16


def test_the_number_of_classes_is_that_of_the_checkpoint(tmp_path, model):
    converters.save(model, tmp_path / "a.npz", name=NAME)
    assert converters.load(NAME, tmp_path / "a.npz").linear.out_features == 3
    assert converters.load(NAME, tmp_path / "a.npz", num_classes=3).linear.out_features == 3
    with pytest.raises(ValueError, match=r"a\.npz as cifar_resnet20: .*\n.*\n.*pass num_classes=3"):
        converters.load(NAME, tmp_path / "a.npz", num_classes=10)


def test_another_architecture_is_recognised(tmp_path, model):
    converters.save(model, tmp_path / "a.npz", name=NAME)
    for other in ("cifar_resnet32", "squeezenet1_1"):
        with pytest.raises(ValueError, match="does not fit the model") as error:
            converters.load(other, tmp_path / "a.npz")
        assert str(error.value).endswith("this looks like cifar_resnet20")
    with pytest.raises(ValueError, match="no model 'cifar_resnet2'; did you mean"):
        converters.load("cifar_resnet2", tmp_path / "a.npz")


def test_metadata(tmp_path, model):
    from safetensors import safe_open

    source = tmp_path / "published.npz"
    converters.save(model, source, name=NAME)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    expected = {
        "architecture": NAME,
        "jaxcam": jaxcam.__version__,
        "source": "published.npz",
        "sha256": digest,
    }
    converters.save(model, tmp_path / "a.safetensors", name=NAME, source=source)
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt", **expected}
    converters.save(model, tmp_path / "a", name=NAME, source=source)
    written = json.loads((tmp_path / "a" / "_CHECKPOINT_METADATA").read_text())
    assert written["custom_metadata"] == expected


@pytest.mark.parametrize("file", ENDINGS)
def test_nothing_is_overwritten_unasked(tmp_path, model, file):
    path = tmp_path / file
    converters.save(model, path, name=NAME)
    other = filled(4)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        converters.save(other, path, name=NAME)
    assert_identical(converters.load(NAME, path), model)
    converters.save(other, path, name=NAME, overwrite=True)
    assert_identical(converters.load(NAME, path), other)
    assert os.listdir(tmp_path) == [file]


def test_folders_and_files_replace_each_other(tmp_path, model):
    (tmp_path / "a").write_text("a file")
    (tmp_path / "a").replace(tmp_path / "a.orbax")
    converters.save(model, tmp_path / "a.orbax", name=NAME, overwrite=True)
    assert_identical(converters.load(NAME, tmp_path / "a.orbax"), model)
    (tmp_path / "a.orbax").rename(tmp_path / "a.npz")
    converters.save(model, tmp_path / "a.npz", name=NAME, overwrite=True)
    assert (tmp_path / "a.npz").is_file()
    assert os.listdir(tmp_path) == ["a.npz"]


def test_foreign_folders_are_not_replaced(tmp_path, model):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="orbax did not write"):
        converters.save(model, tmp_path / "home", name=NAME, overwrite=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("ending", ["", ".npz"])
def test_a_failed_save_leaves_what_was_there(tmp_path, model, monkeypatch, ending):
    path = tmp_path / f"a{ending}"
    converters.save(model, path, name=NAME)

    def full_disk(path, arrays, metadata):
        path.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setitem(_formats.WRITERS, ending, full_disk)
    with pytest.raises(OSError, match="no space left"):
        converters.save(filled(4), path, name=NAME, overwrite=True)
    assert os.listdir(tmp_path) == [path.name]
    assert_identical(converters.load(NAME, path), model)


@pytest.mark.parametrize("file", ["a.npz", "a.safetensors"])
def test_files_get_the_usual_permissions(tmp_path, model, file):
    (tmp_path / "plain").touch()
    converters.save(model, tmp_path / file, name=NAME)
    assert (tmp_path / file).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_unknown_endings(tmp_path, model):
    with pytest.raises(ValueError, match=r"no format for '\.pth'"):
        converters.save(model, tmp_path / "a.pth", name=NAME)
    assert os.listdir(tmp_path) == []


def test_a_vision_transformer_is_built_for_the_checkpoints_size(tmp_path, monkeypatch):
    """As the SWAG entries need, which were fine-tuned on larger images."""
    tiny = {"patch": 16, "depth": 1, "width": 8, "heads": 2, "hidden": 8}
    monkeypatch.setitem(TABLE, "vit_b_16", dataclasses.replace(TABLE["vit_b_16"], options=tiny))
    model = models.build("vit_b_16", image_size=48, num_classes=3)
    converters.save(model, tmp_path / "a.npz", name="vit_b_16")
    for options in ({}, {"num_classes": 3}):
        loaded = converters.load("vit_b_16", tmp_path / "a.npz", **options)
        assert_identical(loaded, model)
        assert loaded.image_size == 48
    state = converters.to_torch(model)
    state["encoder.pos_embedding"] = state["encoder.pos_embedding"][:, :-1]
    np.savez(tmp_path / "no square.npz", **state)
    with pytest.raises(ValueError, match=r"1 misshaped: encoder\.pos_embedding \(checkpoint \(1, 9, 8\)"):
        converters.load("vit_b_16", tmp_path / "no square.npz", num_classes=3)


def test_a_source_may_be_of_a_format_that_is_not_read(tmp_path, model):
    source = tmp_path / "weights.msgpack"
    source.write_bytes(b"of another library")
    converters.save(model, tmp_path / "a.safetensors", name=NAME, source=source)
    assert converters.metadata(tmp_path / "a.safetensors")["source"] == "weights.msgpack"
