"""`--weights` with a published checkpoint's name: what is loaded, and how the pictures are prepared for it."""

import hashlib
import itertools
import shutil

import numpy as np
import pytest
from flax import nnx

import converters
import jaxcam
from jaxcam import models
from jaxcam.cli._open_model import Wanted, open_model
from jaxcam.models import _recipes
from jaxcam.models._preprocess import Preprocess
from jaxcam.models._published import PUBLISHED

MODEL = "cifar_resnet20"


@pytest.fixture
def cached(weights, tmp_path, monkeypatch):
    """MODEL's default entry, in the cache, with a recipe that is not the architecture's own."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    file = f"net-{digest[:8]}.pth"
    files = {"IMAGENET1K_V2": file, "IMAGENET1K_V1": "net-00000000.pth"}
    monkeypatch.setitem(PUBLISHED, MODEL, PUBLISHED[MODEL]._replace(files=files))
    monkeypatch.setitem(_recipes._OF_ONE, (MODEL, "IMAGENET1K_V2"), Preprocess(resize=44, size=32))
    monkeypatch.setenv("JAXCAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("JAXCAM_WEIGHTS_URL", "http://127.0.0.1:9/")  # where nobody answers
    monkeypatch.setattr("converters._download.time.sleep", lambda seconds: None)
    path = tmp_path / "cache" / "weights" / file
    path.parent.mkdir(parents=True)
    shutil.copy(weights, path)
    return path


@pytest.mark.parametrize("command", ["explain", "evaluate"])
def test_pictures_are_prepared_as_the_entry_says(
    jaxcam_command, cached, weights, folder, tmp_path, monkeypatch, command
):
    jobs = []
    monkeypatch.setattr(f"jaxcam.cli.{command}._job.carry_out", lambda job: jobs.append(job) or True)
    for given in ("DEFAULT", cached, weights):
        method = ("--method", "gradcam")
        result = jaxcam_command(
            command, folder, "--model", MODEL, "--weights", given, "--out", tmp_path / "out", *method
        )
        assert result.code == 0, result.text
    entry, own = (models.preprocess(MODEL, weights=weights) for weights in ("DEFAULT", None))
    assert entry != own
    if command == "explain":
        assert [job.gallery.preprocess for job in jobs] == [entry, entry, own]
        described = [job.run for job in jobs]
    else:
        assert [job.subjects[0].preprocess for job in jobs] == [entry, entry, own]
        described = [job.subjects[0].weights for job in jobs]
    assert [run["weights"] for run in described] == [str(cached), str(cached), str(weights)]
    assert len({run["sha256"] for run in described}) == 1


def test_convert_keeps_the_source(jaxcam_command, cached, tmp_path):
    result = jaxcam_command("convert", MODEL, "--weights", "DEFAULT", "--out", tmp_path / "folder")
    assert result.code == 0, result.text
    assert converters.metadata(tmp_path / "folder") == {
        "architecture": MODEL,
        "jaxcam": jaxcam.__version__,
        "source": cached.name,
        "sha256": hashlib.sha256(cached.read_bytes()).hexdigest(),
        "entry": "IMAGENET1K_V2",
    }
    before, after = converters.read(cached), converters.read(tmp_path / "folder")
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, key)


def test_what_was_converted_is_still_known_as_the_entry(jaxcam_command, cached, weights, tmp_path):
    steps = ["DEFAULT", tmp_path / "folder", tmp_path / "again.safetensors"]
    for before, after in itertools.pairwise(steps):
        result = jaxcam_command("convert", MODEL, "--weights", before, "--out", after)
        assert result.code == 0, result.text
        assert converters.fetch(MODEL, after) == (after, "IMAGENET1K_V2")
    result = jaxcam_command("convert", MODEL, "--weights", weights, "--out", tmp_path / "own.safetensors")
    assert result.code == 0, result.text
    assert converters.fetch(MODEL, tmp_path / "own.safetensors").entry is None


def test_pictures_have_the_size_of_a_fine_tuned_transformer(monkeypatch, tmp_path):
    def load(name, path, *, dtype):
        return nnx.eval_shape(lambda: models.build(name, image_size=384, dtype=dtype))

    file = tmp_path / "mine.pth"
    file.write_bytes(b"weights")
    monkeypatch.setattr(converters, "load", load)
    opened = open_model(Wanted(model="vit_b_32", weights=file, layer=None, labels=None, dtype="float32"))
    assert opened.image.shape == (384, 384, 3)
    assert (opened.preprocess.size, opened.preprocess.resize) == (384, 439)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "IMAGENET1K_V3",
            "no published weights of cifar_resnet20 'IMAGENET1K_V3'; did you mean 'IMAGENET1K_V",
        ),
        ("IMAGENET1K_V1", "http://127.0.0.1:9/net-00000000.pth could not be downloaded: "),
        ("IMAGENET1K_V1", "cache/weights/net-00000000.pth, or name a mirror in JAXCAM_WEIGHTS_URL"),
        ("hf://resnet50", "given as hf://OWNER/NAME"),
    ],
)
@pytest.mark.usefixtures("cached")
def test_mistakes_are_told_in_a_line(explain, jaxcam_command, folder, tmp_path, given, words):
    for result in (
        explain(folder, "--weights", given, out=tmp_path / "maps"),
        jaxcam_command("convert", MODEL, "--weights", given, "--out", tmp_path / "folder"),
    ):
        assert result.code == 2
        (line,) = result.error.splitlines()
        assert words in line
    assert not (tmp_path / "maps").exists()
    assert not (tmp_path / "folder").exists()
