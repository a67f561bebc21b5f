"""The command `jaxcam convert`: a checkpoint in another format."""

from pathlib import Path

import click

from . import _options as options
from ._once import Once
from ._options import FOLDER_OR_FILE, check_new, told


@click.command(cls=Once)
@click.argument("name")
@options.weights()
@click.option(
    "--out",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="PATH",
    help="A name ending in .npz or .safetensors, or without ending for an orbax folder.",
)
@options.replace
def convert(name: str, weights: Path, out: Path, overwrite: bool) -> None:
    """Convert the checkpoint of the model NAME to another format."""
    with told():
        import converters

        from ._open_model import load_model

        check_new(out, overwrite)
        model, (path, _) = load_model(name, weights)
        converters.save(model, out, name=name, source=path, overwrite=overwrite)
    click.echo(f"{path} -> {out}")
