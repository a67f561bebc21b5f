"""The command line. A command imports what it needs when it runs, so that `--help` waits for nothing."""

import json as jsonlib
import os
from pathlib import Path

import click

from .._version import __version__
from . import _options as options
from ._once import Group
from ._options import FOLDER_OR_FILE, Mistake, end, told
from .export import export
from .report import report
from .run import run

# XLA calls LAPACK from threads of its own; a second pool inside LAPACK only makes them wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="jaxcam")
def main() -> None:
    """Class activation maps: what in a picture speaks for a class."""


@main.command()
@options.pictures
@options.model()
@options.weights()
@options.layer()
@options.method
@options.option
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
        import converters

        from .explain import _job as _explain_pictures

        job = _explain_pictures.prepare(
            converters=converters, stored="raw" if raw else size or "image", **given
        )
    end(lambda: _explain_pictures.carry_out(job), batch=job.gallery.batch, covered="the index covers")


@main.command()
@options.pictures
@options.model(several=True)
@options.weights(several=True)
@options.layer(several=True)
@click.option(
    "--method",
    multiple=True,
    metavar="M",
    help="A method, or all. May be repeated.  [default: those of one forward pass]",
)
@options.option
@click.option(
    "--metric",
    multiple=True,
    metavar="NAME",
    help="A metric of jaxcam.metrics (road, adcc, ...), basic or all. May be repeated.  [default: basic]",
)
@click.option(
    "--target",
    metavar="CLASS",
    help="Number or name of a class for all pictures; top-1 (or predicted), the most likely one; or label, each "
    "picture's own, of which --target-from says where it is.",
)
@click.option(
    "--target-from",
    metavar="SOURCE",
    help="Each picture's own class: name (its file name begins with a number, or it or its folder names a synset), "
    "boxes (class in the file of --boxes), or a CSV, TSV or JSON file of pictures and classes.  "
    "[default: boxes, where they name classes; otherwise top-1]",
)
@click.option(
    "--boxes",
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="JSON: a list of rows with file, boxes of x0, y0, x1, y1 in its pixels and, if known, class (or target, or "
    "imagenet): a number, a name or a list of them. Where all rows have a class, it is what is explained.",
)
@options.out("Folder for the table and the figure.", required=True)
@options.overwrite
@options.labels
@options.batch
@click.option(
    "--steps", default=224, show_default=True, type=click.IntRange(min=1), help="Of insertion and deletion."
)
@options.fit(None, "squeeze with --boxes, otherwise crop")
@click.option(
    "--floors/--no-floors",
    default=True,
    help="Measure maps that know nothing too: random, a Gaussian in the centre, ones.",
)
@click.option("--seed", default=0, show_default=True, help="Of the random maps and of ROAD's noise.")
@options.dtype
def evaluate(**given) -> None:
    """Measure how good the maps of PICTURES are: models × methods × metrics.

    Shows a table and writes it to DIR, with standard errors (summary.csv, summary.json), each picture's values
    (pictures.csv) and a figure (figure.png). A map that is zero everywhere has a note in pictures.csv. Ctrl-C keeps
    what is done.

    A picture that cannot be read is skipped, and the exit code is then 1. It is 2 where an argument is wrong.
    """
    with told():
        import converters

        from .evaluate import _job as _evaluate_pictures

        job = _evaluate_pictures.prepare(converters=converters, **given)
    end(lambda: _evaluate_pictures.carry_out(job), batch=job.protocol.batch, covered="the files cover")


@main.command()
@click.argument("name")
@options.weights()
@click.option(
    "--out",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="PATH",
    help="A name ending in .npz or .safetensors, or without ending for an orbax folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
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


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def methods(as_json: bool) -> None:
    """List the methods: what they do, whose they are, what they cost."""
    from . import _listings

    rows = _listings.methods()
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _listings.show_methods(rows)


@main.command()
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models(pattern: str, as_json: bool) -> None:
    """List the models, or those whose name holds PATTERN."""
    from . import _listings

    with told():
        rows = _listings.models(pattern)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1))
    else:
        _listings.show_models(rows)


@main.command()
@options.out("Folder for the results.", default="jaxcam-demo", show_default=True)
def demo(out: Path) -> None:
    """Explain scenes of handwritten digits with a small network that comes with jaxcam."""
    from .. import demo as showcase

    with told((OSError,)):
        showcase.run(out)


main.add_command(export)
main.add_command(report)
main.add_command(run)
