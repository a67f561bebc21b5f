"""The command `jaxcam explain`: pictures as overlays, maps and an index."""

import click

from .. import _options as options
from .._once import Once
from .._options import Mistake, end, named_method, told


@click.command(cls=Once)
@options.pictures
@options.model()
@options.pixels
@options.method
@click.option(
    "--target",
    multiple=True,
    metavar="CLASS",
    help="Number or name of a class; or top-K, the K most likely (predicted is top-1). Classes may be repeated.  "
    "[default: top-1]",
)
@options.out("Folder for overlays, maps and the index.", required=True)
@options.overwrite
@options.labels
@options.batch
@click.option(
    "--size",
    type=click.Choice(["image", "layer"]),
    help="Size of the stored maps: the model's input or the layer.  [default: image]",
)
@click.option(
    "--raw", is_flag=True, help="Store the raw signed maps, at the layer's size, not those for display."
)
@options.fit(True, True)
@click.option("--colormap", default="turbo", show_default=True, help="Any colour map of matplotlib.")
@click.option(
    "--alpha",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the colours in an overlay.",
)
@options.dtype
def explain(size: str | None, raw: bool, **given) -> None:
    """Explain PICTURES, files or folders: an overlay and a map each, and an index.

    For each picture, and each target where there are several, DIR gets an overlay (.png) and the map as
    float32 (.npy, for numpy.load), in folders as the pictures are; index.json and index.csv list them with
    predictions, and with a note where a map is zero everywhere.

    A picture that cannot be read is skipped, and the exit code is then 1. It is 2 where an argument is wrong.
    """
    if raw and size == "image":
        raise Mistake("--raw maps have the layer's size: leave out --size image")
    with told():
        from .._open_model import wanted_of
        from . import _job

        wanted, method = wanted_of(given), named_method(given)
        job = _job.prepare(wanted, method=method, stored="raw" if raw else size or "image", **given)
    end(lambda: _job.carry_out(job), batch=job.gallery.batch, covered="the index covers")
