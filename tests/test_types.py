"""A user's file is checked against the types of the installed package: what is right passes, what is wrong is told."""

import json
import os
import shutil
import subprocess
import sys

import pytest

PYRIGHT = shutil.which("pyright")
USERS = """
from pathlib import Path
from typing import Any, assert_type

import converters
import jax
import numpy as np
from flax import nnx

import jaxcam
from jaxcam import datasets, metrics, models

model = converters.load("resnet50", "DEFAULT", num_classes=10, dtype="bfloat16")
assert_type(model, nnx.Module)
converters.load("resnet50", Path("weights.pth"), dtype=np.float32)
converters.load("resnet50")  # wrong
converters.load("resnet50", 50)  # wrong
converters.from_torch(model, {"fc.weight": np.zeros((10, 2048))})

probe = jaxcam.probe(model, "layer4")
assert_type(probe, jaxcam.Probe)
jaxcam.probe(lambda weights, images: images, "tap", variables={"a": np.ones(3)}, tokens=1)
jaxcam.probe(model, 4)  # wrong
jaxcam.probe("resnet50", "layer4")  # wrong
jaxcam.probe(model, layers="layer4")  # wrong

images = np.zeros((2, 224, 224, 3), np.float32)
maps = jaxcam.explain(probe, images, [3, 1], method=jaxcam.clustercam, clusters=8)
assert_type(maps, jax.Array)
maps, output = jaxcam.explain(probe, images, jaxcam.top(2), method="gradcam", with_output=True)
assert_type(maps, jax.Array)
jaxcam.explain(probe, jax.numpy.asarray(images), jaxcam.difference(3, 1), size=(7, 7))
jaxcam.explain(probe, images, lambda output: output["logits"][3])
jaxcam.explain(probe, images, [jaxcam.probability(3), jaxcam.probability(1)])
jaxcam.explain(model, images)  # wrong
jaxcam.explain(probe, images, size="large")  # wrong
jaxcam.explain(probe, images, method=3)  # wrong


def mine(probe: jaxcam.Probe, image: jax.Array, target: Any = None, *, power: float = 2.0) -> jax.Array:
    return jaxcam.channel_sum(probe.look(image, target).activation) ** power


jaxcam.explain(probe, images, 3, method=mine, power=3.0)
jaxcam.gradcam(probe, images[0], 3, fuse=jaxcam.principal_component)
jaxcam.gradcam(probe, images[0], aperture=3)  # wrong

jaxcam.export(probe, "explainer.zip", image=(224, 224, 3), method=mine, dtype=np.float32)
explainer = jaxcam.restore("explainer.zip")
assert_type(explainer(images, 3), jax.Array)
metrics.pointing_game(maps, [[[0, 0, 3, 3]], [[1, 1, 4, 4], [0, 0, 2, 2]]])
metrics.evaluate(probe, images, 3, maps, metrics=["road"], key=jax.random.key(0))
metrics.evaluate(probe, images, 3, maps, steps="many")  # wrong

prepare = models.preprocess("resnet50")
assert_type(prepare(images[0].astype(np.uint8)), np.ndarray)
for source in ("pictures", Path("pictures.csv"), images, [(images[0], 3)], datasets.open("pictures")):
    done = datasets.run(
        source, probe, out="maps.zarr", preprocess=prepare, method=mine, targets=jaxcam.top(3), options={"power": 2}
    )
    assert_type(done, datasets.Summary)
datasets.run("pictures", probe, out=Path("maps.zarr"), preprocess=prepare, targets=[3, 5], metadata={"name": "mine"})
datasets.run("pictures", probe, out="maps.zarr")  # wrong
datasets.run("pictures", probe, out="maps.zarr", preprocess=prepare, batch="many")  # wrong
datasets.run(3, probe, out="maps.zarr", preprocess=prepare)  # wrong
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed: pip install pyright")
def test_a_users_file_is_checked_by_type(tmp_path):
    """Outside of the project's folder, so that the package is found where it is installed, as a user's is."""
    file = tmp_path / "users.py"
    file.write_text(USERS)
    settings = {"typeCheckingMode": "standard", "reportUnusedExpression": "none"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    ran = subprocess.run(
        [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [each for each in json.loads(ran.stdout)["generalDiagnostics"] if each["file"] == str(file)]
    lines = USERS.splitlines()
    wrong = {number for number, line in enumerate(lines) if line.endswith("# wrong")}
    surprises = [each for each in said if each["range"]["start"]["line"] not in wrong]
    assert [f"{lines[each['range']['start']['line']]}: {each['message']}" for each in surprises] == []
    assert wrong - {each["range"]["start"]["line"] for each in said} == set()
