"""Displayed maps equal those pytorch-grad-cam made of the same synthetic weights, from a file: torch is not needed."""

from pathlib import Path

import numpy as np
import pytest
import synthetic
from flax import nnx

import converters
import jaxcam
from jaxcam import models

GOLDENS = Path(__file__).parents[1] / "goldens" / "maps.npz"
MODEL, LAYER, CLASSES, SIZE, TARGETS = (
    "resnet18",
    "layer3.1.conv2",
    8,
    (97, 113),
    [1, 6, 3],
)  # as in make_maps.py
NAMES = np.load(GOLDENS).files


@pytest.fixture(scope="module")
def probe():
    model = nnx.eval_shape(lambda: models.build(MODEL, num_classes=CLASSES))
    return jaxcam.probe(converters.from_torch(model, synthetic.weights(synthetic.shapes(model))), LAYER)


@pytest.mark.parametrize("name", NAMES)
def test_displayed_maps(name, probe, exact):
    with np.load(GOLDENS) as file:
        expected = file[name]
    images = synthetic.image(*SIZE, batch=len(TARGETS))
    shown = jaxcam.explain(probe, images, TARGETS, method=name)
    error = np.abs(shown[:, ::4, ::4] - expected).max(axis=(1, 2))
    if name.startswith("eigen"):  # the sign there is LAPACK's
        raw = jaxcam.explain(probe, images, TARGETS, method=name, raw=True)
        turned = jaxcam.display(-raw, size=SIZE)
        error = np.minimum(error, np.abs(turned[:, ::4, ::4] - expected).max(axis=(1, 2)))
    # XGrad-CAM divides by the sum of a channel, which is near 0 for some
    assert error.max() <= (1e-4 if name == "xgradcam" else 1e-5)


def test_the_file_tells_methods_apart():
    with np.load(GOLDENS) as file:
        maps = {name: file[name] for name in file.files}
    assert len(maps) == 8
    for name, value in maps.items():
        assert value.std() > 0.05
        for other in maps:
            assert other == name or np.abs(value - maps[other]).max() > 0.01
