"""Opens a model by name with its checkpoint, for every command."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import converters

from .. import models
from ..files._digests import describe_weights
from ..files._labels import Labels, labels_for
from ..models._preprocess import Preprocess
from ..probes._probe import Probe, probe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model as the command line names it.

    Attributes:
        model: its architecture.
        weights: a path, or the name of a published checkpoint.
        layer: a path in the model; None for its default one.
        labels: a file of class names; None for those that are known.
        dtype: of the computation.
    """

    model: str
    weights: Path
    layer: str | None
    labels: Path | None
    dtype: str


class OpenedModel(NamedTuple):
    """A model that is ready to be explained.

    Attributes:
        weights: path and sha256 of the checkpoint, which was fetched if a published one was named.
        layer: its path in the model: the one that was named, or the default one.
        preprocess: as that checkpoint wants pictures; scaled to the size that a transformer has positions for.
        image: shape of one of them.
        labels: names of the classes, as many as the output is long.
    """

    weights: Mapping[str, str]
    layer: str
    probe: Probe
    preprocess: Preprocess
    image: jax.ShapeDtypeStruct
    labels: Labels


def open_model(wanted: Wanted) -> OpenedModel:
    """Fetches and loads a checkpoint, and puts a probe on its layer.

    Raises:
        ValueError: no such model, layer or published checkpoint, a checkpoint of another model, or names of another
            number of classes.
        OSError: a file that cannot be read or downloaded.
    """
    loaded = load_model(wanted.model, wanted.weights, dtype=wanted.dtype)
    recipe = converters.preprocess(wanted.model, loaded.checkpoint)
    preprocess = _scaled(recipe, getattr(loaded.model, "image_size", None))
    layer = chosen_layer(wanted.model, wanted.layer)
    looker = probe(loaded.model, layer)
    image = jax.ShapeDtypeStruct((preprocess.size, preprocess.size, 3), jnp.float32)
    (classes,) = jax.eval_shape(lambda probe, image: probe(image)[0], looker, image).shape
    labels = labels_for(wanted.model, classes, path=wanted.labels)
    return OpenedModel(describe_weights(loaded.checkpoint.path), layer, looker, preprocess, image, labels)


class Loaded(NamedTuple):
    """A model, and the checkpoint that is in it."""

    model: nnx.Module
    checkpoint: converters.Checkpoint


def load_model(name: str, weights: Path, *, dtype: str = "float32") -> Loaded:
    """The architecture `name` with the weights at a path, or of a published checkpoint."""
    checkpoint = converters.fetch(name, weights)
    return Loaded(converters.load(name, checkpoint.path, dtype=jnp.dtype(dtype)), checkpoint)


def chosen_layer(model: str, layer: str | None) -> str:
    """The layer that was given, or the model's default one.

    Raises ValueError for a name of nothing, and for no such model.
    """
    if layer is not None and not layer.strip():
        raise ValueError(
            f"the layer is empty: name one, such as {models.default_layer(model)}, or leave out --layer to take that"
        )
    return layer or models.default_layer(model)


def _scaled(preprocess: Preprocess, size: int | None) -> Preprocess:
    """The preprocessing for a transformer fine-tuned at another image size, with the same proportions of the crop."""
    if size in (None, preprocess.size):
        return preprocess
    return dataclasses.replace(
        preprocess, size=size, resize=round(size * preprocess.resize / preprocess.size)
    )
