"""The command `jaxcam convert`: a checkpoint in another format."""

from pathlib import Path

import click

from . import _options as options
from ._once import Once
from ._options import FOLDER_OR_FILE, told


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
@click.option("--overwrite", is_flag=True, help="Replace a file or folder that exists.")
def convert(name: str, weights: Path, out: Path, overwrite: bool) -> None:
    """Convert the checkpoint of the model NAME to another format."""
    with told():
        import converters

        if out.exists() and not overwrite:
            raise ValueError(f"{out} exists: choose another name, or pass --overwrite")
        weights = converters.fetch(name, weights).path
        model = converters.load(name, weights)
        converters.save(model, out, name=name, source=weights, overwrite=overwrite)
    click.echo(f"{weights} -> {out}")
