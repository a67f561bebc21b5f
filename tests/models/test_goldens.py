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
NAMES = [*sorted(REPRESENTATIVES), "resnet50", "squeezenet1_0", "vgg11_bn"]


@pytest.mark.parametrize("name", architectures(NAMES))
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
    assert set(family.ARCHITECTURES) & REPRESENTATIVES
    assert set(family.ARCHITECTURES) & REPRESENTATIVES


def test_the_file_has_every_architecture():
    with np.load(GOLDENS) as file:
        assert set(file.files) == set(models.names()) - {"cifar_resnet1202"}  # see make_logits.py
        for name in file.files:
            assert file[name].std() > 1e-2, name
