"""Loads a model from a checkpoint, and saves one."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from ._convert import Shardings, from_torch, to_torch
from ._fetch import fetch
from ._fit import fit, image_size, shapes, weights
from ._formats import writer
from ._metadata import describe, metadata
from ._mistakes import check_model, check_path
from ._names import state_dict
from ._orbax import MARK
from ._own import architecture_of
from ._read import read
from ._rename import renamed


def load(
    name: str,
    path: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    dtype: DTypeLike | None = None,
    sharding: Shardings | None = None,
    rename: Mapping[str, str] | None = None,
) -> nnx.Module:
    """The architecture `name` with the weights of a checkpoint.

    A published checkpoint is downloaded once, into `$JAXCAM_CACHE` (else `$XDG_CACHE_HOME/jaxcam`, else
    `~/.cache/jaxcam`), and needs no network after that; what torch has downloaded is found too. On a machine without a
    network, put the file where the error says, or name a mirror in `$JAXCAM_WEIGHTS_URL`. `fetch` says more.

    Args:
        name: one of `jaxcam.models.names()`, or timm's name of a network of these families
            (`vit_small_patch14_dinov2`).
        path: anything that `read` reads; or "DEFAULT" or another of torchvision's entries ("IMAGENET1K_V2", ...), or
            "hf://timm/resnet50.a1_in1k", a tag of timm's on the Hugging Face Hub, or a folder as it lies there: the
            network is as its `config.json` says. `converters.preprocess(name, path)` is the checkpoint's preprocessing.
        num_classes: length of the output; by default that of the checkpoint, which of features without a head is 0.
        dtype: floating point type of the parameters and of the computation; by default float32.
        sharding: where the arrays go, by default the default device: a `jax.sharding.Sharding` for all, or a
            function (name in torch's spelling, shape in the model) -> one for each. Devices get their parts straight
            from the host's memory.
        rename: prefixes of names and what to replace them by, for a checkpoint of your own: `{"backbone.": ""}`. Each
            name is changed once, by the longest that it begins with. Where no more is needed to make a checkpoint fit,
            the error says which.

    Returns:
        A model in eval mode, as `jaxcam.models.build` gives; a vision transformer for the image size of the
        checkpoint's table of positions.

    Raises:
        ValueError: no such architecture or entry, or the checkpoint is not of it: one error lists what differs and
            says which architecture it looks like, or which `rename` it needs; or one of timm's that needs a feature
            which is not built here: it is named.
        FileNotFoundError: as `read`.
        ConnectionError, OSError, ImportError: as `fetch`.
    """
    from jaxcam import models
    from jaxcam.models._construct import construct

    check_path("load", path)

    kind = jnp.float32 if dtype is None else dtype

    def abstract(classes: int | None, size: int | None = None) -> nnx.Module:
        return nnx.eval_shape(
            lambda: construct(
                name, architecture, num_classes=classes, image_size=size, dtype=kind, param_dtype=kind
            )
        )

    # Find the checkpoint, and refuse one that says it is of another architecture.
    path = fetch(name, path).path
    architecture = architecture_of(name, path)
    model = abstract(num_classes)
    stated = metadata(path).get("architecture", name)
    if stated != name and stated in models.names():
        raise ValueError(f"{path} as {name}: its metadata says that it is of {stated}")
    arrays = read(path)
    if rename is not None:
        arrays = state_dict(renamed(arrays, rename))
    # Fit the model to the checkpoint's image size and number of classes.
    if (size := image_size(model, arrays)) is not None:
        model = abstract(num_classes, size)
    if num_classes is None:
        wanted = shapes(model)
        found = fit(wanted, {key: value.shape for key, value in weights(arrays, wanted).items()})
        if found.classes:
            model = abstract(found.classes[0], size)
    try:
        return from_torch(model, arrays, sharding=sharding)
    except ValueError as error:
        raise ValueError(f"{path} as {name}: {error}") from error


def save(
    model: nnx.Module,
    path: str | os.PathLike[str],
    *,
    name: str,
    source: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a model's weights, under torch's names and in torch's layout, for `load` and for other tools.

    What is written appears at `path` at once and whole, or not at all.

    Args:
        model: any model that `to_torch` takes.
        path: a name ending in .npz or .safetensors, or without ending (or .orbax) for an orbax folder.
        name: the architecture, kept as metadata with jaxcam's version (an .npz has no place for either).
        source: the checkpoint the weights came from; its file name and sha256 are kept too.
        overwrite: replace what is there. A folder is replaced only if orbax wrote it.

    Raises:
        ValueError: another ending.
        FileExistsError: something is there and `overwrite` is false, or a folder that is not an orbax folder.
    """
    check_model("save", model)
    check_path("save", path)
    path = Path(path)
    write = writer(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True replaces it")
    if path.is_dir() and not (path / MARK).is_file():
        raise FileExistsError(f"{path} is a folder that orbax did not write: not replaced")
    described = describe(name, None if source is None else Path(source))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        write(scratch / path.name, to_torch(model), described)
        if path.exists() and (
            path.is_dir() or (scratch / path.name).is_dir()
        ):  # only files replace each other
            path.rename(scratch / "replaced")
        (scratch / path.name).replace(path)
    finally:
        shutil.rmtree(scratch)
