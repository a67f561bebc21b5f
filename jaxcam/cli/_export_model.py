"""Implements `jaxcam export`: a model of jaxcam's, its checkpoint and a method as one file."""

from collections.abc import Sequence
from pathlib import Path

from .._errors import choose
from ..exporting._export import export
from ..methods import METHODS
from ._arguments import method_options
from ._open_model import Wanted, chosen_layer, open_model


def export_model(
    wanted: Wanted, *, method: str, option: Sequence[str], out: Path, platform: Sequence[str], raw: bool
) -> None:
    """Checks all arguments, the cheapest checks first, and writes the file.

    Images are float32, whatever the model computes in.

    Raises:
        ValueError: a name or value that does not exist (the message says what does).
        OSError: a file that cannot be read or written.
    """
    chosen_layer(wanted.model, wanted.layer)
    choose("method", method, METHODS, show=99)
    options = method_options(method, option)
    opened = open_model(wanted)
    about = {
        "model": wanted.model,
        **opened.weights,
        "model_dtype": wanted.dtype,
        "preprocess": opened.preprocess.described(),
        "classes": opened.labels.names,
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
