"""Implements `jaxcam export`: a model, its checkpoint and a method as one file."""

from collections.abc import Sequence
from pathlib import Path

from ..exporting._export import export
from ._chosen_method import check_method, chosen_method
from ._explainer import is_explainer
from ._open_model import Wanted, check_wanted, open_model


def export_model(
    wanted: Wanted,
    *,
    method: str | None,
    option: Sequence[str],
    out: Path,
    platform: Sequence[str],
    raw: bool,
) -> None:
    """Checks all arguments, the cheapest checks first, and writes the file.

    Images are float32, whatever the model computes in.

    Raises:
        ValueError: a name or value that does not exist (the message says what does).
        OSError: a file that cannot be read or written.
    """
    check_wanted(wanted)
    check_method(wanted, method, option)
    if is_explainer(wanted.model):
        raise ValueError(f"{wanted.model} is an explainer already: export the model that it was made from")
    opened = open_model(wanted)
    chosen = chosen_method(opened, method, option)
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
        method=chosen.name,
        raw=raw,
        about=about,
        **platforms,
        **chosen.options,
    )
