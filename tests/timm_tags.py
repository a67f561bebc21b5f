"""timm's networks with random weights, saved as a tag lies on the Hub, and loaded by jaxcam: the logits of both."""

import re
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import synthetic
from flax import nnx


class Case(NamedTuple):
    """A tag, its family in words, and the size of the picture; `built` replaces arguments of the network."""

    tag: str
    family: str
    size: int = 64
    built: dict = {}  # noqa: RUF012  (it never changes)


def load():
    """timm; skips the calling test where it is not installed."""
    import _torchvision
    import pytest

    _torchvision.load()
    return pytest.importorskip("timm")


def network(case: Case):
    """timm's network of that tag, all its numbers drawn at random, running statistics too."""
    import torch

    timm = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(case.tag, pretrained=False, **case.built).eval()
    state = model.state_dict()
    drawn = synthetic.weights({name: tuple(value.shape) for name, value in state.items()})
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(_moderate(name, drawn[name])))
    return model


def _moderate(name: str, values: np.ndarray) -> np.ndarray:
    """Factors of a block (LayerScale) between 0.5 and 1; kernels of blocks with gates so that pictures can be told
    apart in the end (see `synthetic`); all other values as they are.
    """
    if name.endswith(("gamma", "gamma_1", "gamma_2")):
        return (np.abs(values) * 5 + 0.5).clip(0.5, 1)
    if gated := re.match(r"blocks\.\d+\.(\d+)\.conv", name):
        return values * np.float32(1.5 if gated[1] == "0" else 0.8)
    return values


def save(model, folder: Path) -> None:
    """As the Hub has it: model.safetensors and config.json."""
    from timm.models import save_for_hf

    save_for_hf(model, folder, safe_serialization=True)


def error(case: Case) -> tuple[float, float]:
    """Largest difference of two pictures' outputs, and largest difference between the pictures, over max |output|."""
    import torch

    import converters

    theirs = network(case)
    images = synthetic.image(case.size, case.size, batch=2)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous()).numpy()
    with tempfile.TemporaryDirectory() as folder:
        save(theirs, Path(folder))
        ours = converters.load(case.tag.partition(".")[0], folder)
    logits = np.asarray(jax.jit(_apply, static_argnums=0)(*nnx.split(ours), images))
    assert logits.shape == expected.shape
    most = np.abs(expected).max()
    return float(np.abs(logits - expected).max() / most), float(np.ptp(expected, axis=0).max() / most)


def _apply(graph, state, images):
    return nnx.merge(graph, state)(images)
