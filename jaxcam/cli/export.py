"""The command `jaxcam export`."""

from pathlib import Path
from typing import Any

import click

from . import _options as options
from ._once import Once
from ._options import FOLDER_OR_FILE, check_new, named_method, told


@click.command(cls=Once)
@options.model()
@options.pixels
@options.method
@click.option(
    "--out",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="The file to write, such as explainer.jaxcam.",
)
@click.option(
    "--platform",
    multiple=True,
    metavar="P",
    help="Platform that the file will run on: cpu, cuda, rocm or tpu. May be repeated.  [default: cpu, cuda, tpu]",
)
@click.option("--raw", is_flag=True, help="Return raw signed maps at the layer's size, not maps for display.")
@options.labels
@options.dtype
@options.replace
def export(out: Path, overwrite: bool, **given: Any) -> None:
    """Write a model, a layer and a method as one file that runs without the model's code.

    In Python, jaxcam.restore(FILE) is a function of a batch of pictures, preprocessed as its metadata says, and
    of their classes.
    """
    with told():
        if out.is_dir():
            raise ValueError(f"{out} is a folder: name a file")
        check_new(out, overwrite)
        from ._export_model import export_model
        from ._open_model import wanted_of

        wanted, method = wanted_of(given), named_method(given)
        export_model(wanted, method=method, out=out, **given)
    click.echo(f"{wanted.weights or wanted.model} -> {out}")
