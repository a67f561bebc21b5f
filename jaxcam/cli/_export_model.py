"""What `jaxcam export` does: a model of jaxcam's, its checkpoint and a method as one file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._errors import choose
from ..exporting._export import export
from ..files._digests import describe_weights
from ..files._labels import labels_for
from ..methods import METHODS
from ..models._preprocess import Preprocess
from ._arguments import chosen_layer, method_options
from ._open_model import open_model


def export_model(
    *,
    converters: Any,
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
    layer = chosen_layer(model, layer)
    choose("method", method, METHODS, show=99)
    options = method_options(method, option)
    opened = open_model(converters, model, weights, layer=layer, dtype=dtype)
    about = {
        "model": model,
        **describe_weights(opened.weights),
        "model_dtype": dtype,
        "preprocess": _describe(opened.preprocess),
        "classes": labels_for(model, opened.classes, path=labels).names,
    }
    platforms = {"platforms": tuple(platform)} if platform else {}
    export(
        opened.probe,
        out,
        image=opened.image.shape,
        method=method,
        raw=raw,
        about=about,
        **platforms,
        **options,
    )


def _describe(preprocess: Preprocess) -> dict:
    return dataclasses.asdict(preprocess) | {"interpolation": preprocess.interpolation.name.lower()}
