"""Opens a model with its checkpoint, for every command: an architecture, a function of the user's, or an explainer."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import converters

from .. import models
from ..datasets.running._identity import digest_of
from ..files._digests import describe_weights
from ..files._labels import Labels, labels_for
from ..models._preprocess import Preprocess
from ..probes._of_model import probe
from ..probes._paths import layers
from ..probes._probe import Probe
from . import _explainer, _factory
from ._options import take
from ._pixels import Pixels, as_preprocess, preprocessing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model as the command line names it.

    Attributes:
        model: an architecture, `package.module:function`, or the file of an explainer.
        weights: a path, or the name of a published checkpoint; None for what brings its own.
        layer: a path in the model; None for its default one.
        labels: a file of class names; None for those that are known.
        dtype: of the computation.
        pixels: the preprocessing, as far as it is given.
    """

    model: str
    weights: Path | None
    layer: str | None
    labels: Path | None
    dtype: str
    pixels: Pixels = dataclasses.field(default_factory=Pixels)


class OpenedModel(NamedTuple):
    """A model that is ready to be explained.

    Attributes:
        weights: path and sha256 of the checkpoint, which was fetched if a published one was named.
        layer: its path in the model: the one that was named, or the default one.
        preprocess: as that checkpoint wants pictures; scaled to the size that a transformer has positions for.
        image: shape of one of them.
        labels: names of the classes, as many as the output is long.
        own: an explainer's method, the only one that it has.
        raw: raw maps can be had, which only an explainer may not give.
    """

    weights: Mapping[str, str]
    probe: Probe
    layer: str
    preprocess: Preprocess
    image: jax.ShapeDtypeStruct
    labels: Labels
    own: Callable | None = None
    raw: bool = True


def wanted_of(given: dict[str, Any]) -> Wanted:
    """The model among the arguments of a command, which are taken out of `given`."""
    given["pixels"] = take(Pixels, given)
    return take(Wanted, given)


def check_wanted(wanted: Wanted) -> None:
    """What can be said of a model before it is opened.

    Raises ValueError for no such model, a layer of an empty name, weights that are missing or too many.
    """
    name = wanted.model
    if _explainer.is_explainer(name):
        for option, value in (("weights", wanted.weights), ("layer", wanted.layer)):
            if value is not None:
                raise ValueError(f"--{option}: {name} is an explainer, which brings its own: leave it out")
        if wanted.dtype != "float32":
            raise ValueError(f"--dtype {wanted.dtype}: {name} computes as it was exported")
        return
    if wanted.layer is not None and not wanted.layer.strip():
        default = "" if ":" in name else f", such as {models.default_layer(name)},"
        raise ValueError(f"the layer is empty: name one{default} or leave out --layer to take that")
    if ":" in name:
        _factory.find_factory(name)
        return
    models.default_layer(name)
    if wanted.weights is None:
        raise ValueError(
            f"{name} needs --weights: a checkpoint, or the name of a published one, such as DEFAULT"
        )


def layer_of(wanted: Wanted) -> str:
    """The layer that is named, or the default one of an architecture; empty where only the opened model knows it."""
    return wanted.layer or ("" if brings_its_own(wanted.model) else models.default_layer(wanted.model))


def brings_its_own(name: str) -> bool:
    """Whether a model may come without --weights: a function's, or an explainer."""
    return ":" in name or _explainer.is_explainer(name)


def open_model(wanted: Wanted) -> OpenedModel:
    """Fetches and loads a checkpoint, and puts a probe on its layer.

    Raises:
        ValueError: no such model, layer or published checkpoint, a checkpoint of another model, names of another number
            of classes, or a preprocessing that nobody says.
        OSError: a file that cannot be read or downloaded.
    """
    check_wanted(wanted)
    if _explainer.is_explainer(wanted.model):
        path = Path(wanted.model)
        found = _explainer.open_explainer(path, wanted.pixels, wanted.labels)
        return OpenedModel(
            describe_weights(path),
            found.probe,
            found.layer,
            found.preprocess,
            found.image,
            found.labels,
            found.method,
            found.raw,
        )
    loaded = load_model(wanted.model, wanted.weights, dtype=wanted.dtype)
    looker, layer = _probe(wanted, loaded.model)
    preprocess = preprocessing(wanted.pixels, _recipe(wanted.model, loaded), wanted.model)
    image = jax.ShapeDtypeStruct((preprocess.size, preprocess.size, 3), jnp.float32)
    output = _output_of(wanted.model, looker, image)
    if getattr(output, "ndim", 0) != 1:
        kind = f"shape {output.shape}" if hasattr(output, "shape") else type(output).__name__
        raise ValueError(
            f"{wanted.model}: its output for one image is {kind}, and commands explain classifiers, whose output is a "
            "vector of logits: return jaxcam.probe(model, layer, read=...) from the function, with read= a function of "
            "the output that gives one"
        )
    labels = labels_for(wanted.model, output.shape[0], path=wanted.labels)
    weights = (
        {"weights": wanted.model, "sha256": digest_of(looker)}
        if loaded.checkpoint is None
        else describe_weights(loaded.checkpoint.path)
    )
    return OpenedModel(weights, looker, layer, preprocess, image, labels)


class Loaded(NamedTuple):
    """A model, and the checkpoint that is in it; None for a model that brings its own weights."""

    model: nnx.Module | Probe
    checkpoint: converters.Checkpoint | None


def load_model(name: str, weights: Path | None, *, dtype: str = "float32") -> Loaded:
    """The architecture `name` with the weights at a path, or of a published checkpoint; or what a function builds, with
    those at a path or its own."""
    if _explainer.is_explainer(name):
        raise ValueError(
            f"{name} is an explainer, a program with its weights, and not a model with a checkpoint"
        )
    if ":" in name:
        model = _factory.build(name, dtype=dtype)
        if weights is None:
            return Loaded(model, None)
        if isinstance(model, Probe):
            raise ValueError(f"{name} returns a probe, which has its weights: leave out --weights")
        return Loaded(_factory.fill(model, weights, name), converters.Checkpoint(weights, None))
    if weights is None:
        raise ValueError(
            f"{name} needs --weights: a checkpoint, or the name of a published one, such as DEFAULT"
        )
    checkpoint = converters.fetch(name, weights)
    return Loaded(converters.load(name, checkpoint.path, dtype=jnp.dtype(dtype)), checkpoint)


def _output_of(name: str, looker: Probe, image: jax.ShapeDtypeStruct) -> Any:
    """The shape of the output for one image."""
    try:
        return jax.eval_shape(lambda probe, image: probe(image)[0], looker, image)
    except Exception as error:
        if ":" not in name:
            raise
        # whatever a model of the user's raises
        said = str(error) or type(error).__name__
        raise ValueError(f"{name} does not take images {image.shape}: {said}") from error


def _probe(wanted: Wanted, model: nnx.Module | Probe) -> tuple[Probe, str]:
    """A probe, and its layer as it was named."""
    if isinstance(model, Probe):
        if wanted.layer is not None:
            raise ValueError(f"{wanted.model} returns a probe of {model.anatomy}: leave out --layer")
        if len(model.layers) > 1:
            raise ValueError(
                f"{wanted.model} returns a probe of several layers, and commands look at one: return one of them, such "
                f"as probe[{model.layers[-1]!r}]"
            )
        return model, str(model.anatomy)
    layer = wanted.layer or getattr(model, "default_layer", None)
    if layer is None:
        known = layers(model)
        more = f", ... ({len(known)} in all)" if len(known) > 12 else ""
        raise ValueError(
            f"name a layer with --layer, or give the model an attribute `default_layer`. There are: "
            f"{', '.join(known[:12])}{more}"
        )
    return probe(model, layer), layer


def _recipe(name: str, loaded: Loaded) -> Preprocess | None:
    """The preprocessing as the model says it, or its published checkpoint."""
    if ":" in name or loaded.checkpoint is None:
        return as_preprocess(getattr(loaded.model, "preprocess", None), name)
    recipe = converters.preprocess(name, loaded.checkpoint)
    return _scaled(recipe, getattr(loaded.model, "image_size", None))


def _scaled(preprocess: Preprocess, size: int | None) -> Preprocess:
    """The preprocessing for a transformer fine-tuned at another image size, with the same proportions of the crop."""
    if size in (None, preprocess.size):
        return preprocess
    return dataclasses.replace(
        preprocess, size=size, resize=round(size * preprocess.resize / preprocess.size)
    )


def save_model(
    model: nnx.Module | Probe, out: Path, *, name: str, source: Path | None, overwrite: bool
) -> None:
    """Writes the model's weights, as `converters.save`.

    Raises ValueError for a probe, whose weights have no names of a checkpoint, and for a layer that torch's layout is
    not known for.
    """
    if isinstance(model, Probe):
        raise ValueError(f"{name} returns a probe: to convert weights, it should return the flax.nnx.Module")
    try:
        converters.save(model, out, name=name, source=source, overwrite=overwrite)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
