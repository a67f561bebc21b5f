"""An exported explainer as the model of a command."""

import dataclasses
import zipfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._method import Method
from ..exporting._as_probe import as_probe
from ..exporting._restore import restore
from ..files._labels import Labels, labels_for
from ..files._members import META
from ..models._preprocess import Preprocess
from ..probes._probe import Probe
from ._pixels import Pixels, as_preprocess, preprocessing

SUFFIX = ".jaxcam"


class Opened(NamedTuple):
    """An explainer with what it says of its pictures and classes.

    Attributes:
        raw: it gives raw maps, from which those for display can be made.
    """

    probe: Probe
    method: Method
    raw: bool
    layer: str
    preprocess: Preprocess
    image: jax.ShapeDtypeStruct
    labels: Labels


def is_explainer(name: str) -> bool:
    """Whether the name of a model is that of an exported file."""
    path = Path(name)
    if path.suffix == SUFFIX:
        return True
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return META in file.namelist()


def open_explainer(path: Path, pixels: Pixels, labels: Path | None) -> Opened:
    """Reads the file. What options say of pictures and classes goes before what the file says.

    Raises:
        ValueError: a file that is damaged, an explainer of a fixed target or of images that no command makes, or one
            that does not say how pictures are preprocessed.
        OSError: a file that cannot be read.
    """
    explainer = restore(path)
    known = explainer.metadata
    if (classes := known["classes"]) is None:
        raise ValueError(
            f"{path} explains a target of its own, not a class: call it in Python, "
            f"jaxcam.restore({str(path)!r})(images)"
        )
    height, width, channels = known["image"]
    if height != width or channels != 3:
        raise ValueError(
            f"{path} takes images of {height}x{width}x{channels}: commands read square pictures of three channels"
        )
    about = known["about"] if isinstance(known.get("about"), dict) else {}
    given = pixels if pixels.image_size is not None else dataclasses.replace(pixels, image_size=height)
    preprocess = preprocessing(given, as_preprocess(about.get("preprocess"), str(path)), str(path))
    if preprocess.size != height:
        raise ValueError(
            f"{path} takes images of {height}x{width}, not of {preprocess.size}x{preprocess.size}"
        )
    probe, method = as_probe(explainer)
    image = jax.ShapeDtypeStruct((height, width, 3), jnp.dtype(known["dtype"]))
    names = about.get("classes")
    if (
        labels is None
        and isinstance(names, list)
        and len(names) == classes
        and all(isinstance(each, str) for each in names)
    ):
        found = Labels([(each,) for each in names], classes)
    else:
        found = labels_for(str(about.get("model", "")), classes, path=labels)
    return Opened(probe, method, bool(known.get("raw")), known["layer"], preprocess, image, found)
