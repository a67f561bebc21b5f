"""Checkpoints straight onto several devices, and what is kept beside the arrays."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import converters
import jaxcam
from converters._fit import shapes
from jaxcam import models

NAME = "cifar_resnet20"


@pytest.fixture(scope="module")
def model():
    abstract = nnx.eval_shape(lambda: models.build(NAME))
    rng = np.random.default_rng(0)
    state = {key: rng.normal(1, 0.1, shape).astype(np.float32) for key, shape in shapes(abstract).items()}
    return converters.from_torch(abstract, state)


def test_eight_devices(model, tmp_path):
    converters.save(model, tmp_path / "folder", name=NAME)
    converters.save(model, tmp_path / "file.npz", name=NAME)
    script = Path(__file__).with_name("sharded.py")
    run = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0, run.stderr
    assert "loaded onto 8" in run.stdout


@pytest.mark.parametrize("file", ["a", "a.safetensors"])
def test_metadata(model, tmp_path, file):
    source = tmp_path / "source.npz"
    converters.save(model, source, name=NAME)
    converters.save(model, tmp_path / file, name=NAME, source=source)
    found = converters.metadata(tmp_path / file)
    found.pop("format", None)  # safetensors says that the layout is torch's
    assert found.keys() == {"architecture", "jaxcam", "source", "sha256"}
    assert (found["architecture"], found["jaxcam"]) == (NAME, jaxcam.__version__)
    assert found["source"] == "source.npz"
    assert converters.metadata(source) == {}


def test_metadata_of_what_is_not_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        converters.metadata(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"a\.pth: not a checkpoint"):
        converters.metadata(tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_bytes(b"\xff\0\0\0\0\0\0\0{broken")
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        converters.metadata(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="is a folder without orbax's _METADATA; it holds a"):
        converters.metadata(tmp_path)


@pytest.mark.parametrize("file", ["a", "a.safetensors"])
def test_metadata_that_names_another_architecture(model, tmp_path, file):
    converters.save(model, tmp_path / file, name=NAME)
    with pytest.raises(ValueError, match=rf"as cifar_resnet32: its metadata says that it is of {NAME}$"):
        converters.load("cifar_resnet32", tmp_path / file)
    # a name of the user's own says nothing
    converters.save(model, tmp_path / f"my {file}", name="my network")
    converters.load(NAME, tmp_path / f"my {file}")
