"""`jaxcam report`: one HTML file from stores of maps."""

from pathlib import Path

import click

from ._once import Once
from ._options import check_new, told


@click.command(cls=Once)
@click.argument("stores", nargs=-1, required=True, metavar="STORES...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The HTML file to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder where the pictures are now.  [default: where the run found them]",
)
@click.option(
    "--limit",
    default=5000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of records shown as pictures, spread evenly; figures cover all records.",
)
@click.option(
    "--budget",
    default=14.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="MB",
    help="Largest size of the file; pictures are as large as it allows.",
)
@click.option("--title", help="Title of the page.  [default: the methods and the model]")
def report(stores: tuple[str, ...], out: Path, overwrite: bool, **options) -> None:
    """Show the maps of STORES, as `jaxcam run` writes them, on one page for a browser.

    The page holds all it needs: pictures with their maps to filter and sort, several stores side by side, mean
    maps, histograms, what failed and what was run. Pictures that have moved are shown as their maps alone.
    """
    with told():
        check_new(out, overwrite)
        from .. import datasets

        written = datasets.report(stores, out, **options)
    shown = "" if written.shown == written.records else f", {written.shown} of them shown"
    click.echo(f"{written.records} records{shown} in {written.out}: {written.size / 1e6:.1f} MB")
    if written.lost:
        click.echo(f"{written.lost} without their picture: --pictures says where pictures are now", err=True)
