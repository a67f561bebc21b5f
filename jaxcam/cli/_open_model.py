"""A model by name with its checkpoint, as the commands open it once they know that the rest is right."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import models
from ..models._preprocess import Preprocess
from ..probes._probe import Probe, probe


class OpenedModel(NamedTuple):
    """A model that is ready to be explained.

    Attributes:
        weights: the checkpoint's file or folder, which was fetched if a published one was named.
        preprocess: as that checkpoint wants pictures; scaled to the size that a transformer has positions for.
        image: shape of one of them.
        classes: length of the output.
    """

    weights: Path
    probe: Probe
    preprocess: Preprocess
    image: jax.ShapeDtypeStruct
    classes: int


def open_model(converters: Any, name: str, weights: Path, *, layer: str, dtype: str) -> OpenedModel:
    """Fetches and loads a checkpoint.

    Args:
        converters: the package, which this one imports on the command line only.
        weights: a path, or the name of a published checkpoint.
        layer: a path in the model.
        dtype: of the computation.

    Raises:
        ValueError: no such model, layer or published checkpoint, or a checkpoint of another model.
        OSError: a file that cannot be read or downloaded.
    """
    weights, entry = converters.fetch(name, weights)
    model = converters.load(name, weights, dtype=jnp.dtype(dtype))
    preprocess = _scaled(models.preprocess(name, weights=entry), getattr(model, "image_size", None))
    looker = probe(model, layer)
    image = jax.ShapeDtypeStruct((preprocess.size, preprocess.size, 3), jnp.float32)
    (classes,) = jax.eval_shape(lambda probe, image: probe(image)[0], looker, image).shape
    return OpenedModel(weights, looker, preprocess, image, classes)


def _scaled(preprocess: Preprocess, size: int | None) -> Preprocess:
    """For a transformer that was fine-tuned on pictures of another size, with as much around the crop."""
    if size in (None, preprocess.size):
        return preprocess
    return dataclasses.replace(
        preprocess, size=size, resize=round(size * preprocess.resize / preprocess.size)
    )
