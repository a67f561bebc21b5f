"""`jaxcam export`: one file from a checkpoint, and what is told where an argument is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

import converters
import jaxcam
from jaxcam import models

MODEL = "cifar_resnet20"


@pytest.fixture
def export(jaxcam_command, weights, tmp_path):
    """Runs `jaxcam export` for the CPU; the file is at `.out`."""

    def run(*arguments, out=tmp_path / "explainer.jaxcam"):
        given = ("--model", MODEL, "--weights", weights, "--platform", "cpu", "--out", out)
        result = jaxcam_command("export", *arguments, defaults=given)
        result.out = out
        return result

    return run


def test_exported_file_explains(export, weights, scene):
    result = export("--method", "layercam", "--layer", "layer2", "--raw")
    assert result.code == 0, result.text
    assert result.stdout == f"{weights} -> {result.out}\n"
    explainer = jaxcam.restore(result.out)
    about = explainer.metadata["about"]
    assert about["model"] == MODEL
    assert about["classes"][3] == "cat"
    assert len(about["sha256"]) == 64
    assert about["preprocess"] == {
        "resize": 32,
        "size": 32,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
    }
    batch = np.stack([models.preprocess(MODEL)(scene(seed)) for seed in range(2)])
    probe = jaxcam.probe(converters.load(MODEL, weights), "layer2")
    expected = jaxcam.explain(probe, batch, [3, 5], method="layercam", raw=True)
    np.testing.assert_allclose(explainer(batch, [3, 5]), expected, atol=1e-4 * float(jnp.abs(expected).max()))


def test_bfloat16_and_an_option(export, scene):
    result = export("--dtype", "bfloat16", "--method", "conceptorcam", "--option", "aperture=2")
    assert result.code == 0, result.text
    explainer = jaxcam.restore(result.out)
    assert explainer.metadata["options"] == {"aperture": "2"}
    assert explainer.metadata["about"]["model_dtype"] == "bfloat16"
    assert explainer.metadata["layer"] == models.default_layer(MODEL)
    maps = explainer(models.preprocess(MODEL)(scene(0))[None])
    assert maps.dtype == jnp.float32
    assert float(maps.max()) == 1


def test_file_that_is_there(export, tmp_path):
    assert export().code == 0
    before = (tmp_path / "explainer.jaxcam").read_bytes()
    again = export("--method", "hirescam")
    assert again.code == 2
    assert "exists: choose another name, or pass --overwrite" in again.error
    assert again.out.read_bytes() == before
    assert export("--method", "hirescam", "--overwrite").code == 0
    assert jaxcam.restore(again.out).metadata["method"] == "hirescam"


MISTAKES = {
    "model": (["--model", "cifar_resnet21"], "no model 'cifar_resnet21'; did you mean 'cifar_resnet"),
    "method": (["--method", "gradcamm"], "no method 'gradcamm'; did you mean 'gradcam'?"),
    "layer": (["--layer", "layer5"], "no layer 'layer5'; did you mean 'layer"),
    "layer without positions": (["--layer", "linear"], "layer 'linear' returns shape (1, 10)"),
    "option": (["--option", "fues=channel_sum"], "no option 'fues'; did you mean 'fuse'?"),
    "platform": (["--platform", "cdua"], "no platform 'cdua'; did you mean 'cuda'?"),
    "weights": (["--weights", "no-such-file.pth"], "no checkpoint at"),
    "labels": (["--labels", "no-such-file.txt"], "no-such-file.txt"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_a_line(export, unchecked, case):
    arguments, message = MISTAKES[case]
    result = export(*arguments)
    assert result.code == 2
    assert result.crashed is None
    last = result.error.rstrip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert not result.out.exists()


def test_place_that_cannot_be_written(export, tmp_path):
    assert f"{tmp_path} is a folder: name a file" in export(out=tmp_path).error
    (tmp_path / "file").write_text("")
    result = export(out=tmp_path / "file" / "below")
    assert result.code == 2
    assert result.crashed is None
