"""What `jaxcam export` does: a model of jaxcam's, its checkpoint and a method as one file."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax.numpy as jnp
from flax import nnx

from . import models
from ._arguments import parse_option
from ._errors import choose
from ._export import export
from ._index import describe_weights
from ._inputs import shape_of_output
from ._labels import labels_for
from ._probe import probe
from .methods import METHODS
from .models._preprocess import Preprocess


def export_model(
    *,
    load: Callable[..., nnx.Module],
    model: str,
    weights: Path,
    layer: str | None,
    method: str,
    option: Sequence[str],
    out: Path,
    platform: Sequence[str],
    raw: bool,
    labels: Path | None,
    dtype: str,
) -> None:
    """Checks everything, what costs least first, and writes the file. Images are float32, whatever `dtype` is.

    Raises:
        ValueError: a name or value that does not exist (the message says what does).
        OSError: a file that cannot be read or written.
    """
    preprocess = models.preprocess(model)
    choose("method", method, METHODS, show=99)
    options = dict(parse_option(METHODS[method], text) for text in option)
    looker = probe(load(model, weights, dtype=jnp.dtype(dtype)), layer or models.default_layer(model))
    image = (preprocess.size, preprocess.size, 3)
    (classes,) = shape_of_output(looker, jnp.zeros((1, *image))).shape
    about = {
        "model": model,
        **describe_weights(weights),
        "model_dtype": dtype,
        "preprocess": _describe(preprocess),
        "classes": labels_for(model, classes, path=labels).names,
    }
    platforms = {"platforms": tuple(platform)} if platform else {}
    export(looker, out, image=image, method=method, raw=raw, about=about, **platforms, **options)


def _describe(preprocess: Preprocess) -> dict:
    return dataclasses.asdict(preprocess) | {"interpolation": preprocess.interpolation.name.lower()}
