"""Logits equal those torch gave for the same synthetic weights, from a file: torch is not needed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic
from flax import nnx
from selection import REPRESENTATIVES, architectures

import converters
from jaxcam import models
from jaxcam.models._registry import FAMILIES

GOLDENS = Path(__file__).parents[1] / "goldens" / "logits.npz"
# One or two of each family; the file has them all, and benchmarks/architectures.py runs them all.
NAMES = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "squeezenet1_0",
    "squeezenet1_1",
    "mobilenet_v2",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "vit_b_32",
    "swin_t",
    "swin_v2_t",
    "maxvit_t",
    "cifar_resnet20",
]
BY_DEFAULT = set(NAMES) - {"resnet50", "resnext50_32x4d", "squeezenet1_1"}


@pytest.mark.parametrize("name", architectures(NAMES, BY_DEFAULT))
def test_logits(name, exact):
    with np.load(GOLDENS) as file:
        expected = file[name]
    model = nnx.eval_shape(lambda: models.build(name, num_classes=expected.shape[1]))
    model = converters.from_torch(model, synthetic.weights(synthetic.shapes(model)))
    logits = jax.jit(lambda graph, state, x: nnx.merge(graph, state)(x), static_argnums=0)(
        *nnx.split(model), jnp.asarray(synthetic.image(*synthetic.size(name)))
    )
    assert np.abs(np.asarray(logits) - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_is_covered(family):
    assert set(family.ARCHITECTURES) & BY_DEFAULT
    assert set(family.ARCHITECTURES) & REPRESENTATIVES


def test_the_file_has_every_architecture():
    with np.load(GOLDENS) as file:
        assert set(file.files) == set(models.names()) - {"cifar_resnet1202"}  # see make_logits.py
        for name in file.files:
            assert file[name].std() > 1e-2, name
