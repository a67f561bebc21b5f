"""The command `jaxcam evaluate`: models × methods × metrics."""

import click

from ...files._fields import PATHS, TARGETS, or_else
from ...metrics._registry import STEPS
from .. import _options as options
from .._once import Once
from .._options import FOLDER_OR_FILE, end, take, told


@click.command(cls=Once)
@options.pictures
@options.model(several=True)
@options.pixels
@click.option(
    "--method",
    multiple=True,
    metavar="M",
    help="A method; a transform of one, such as 'smoothed(gradcam, samples=4)'; a group: gradient, masks, heads-only, "
    "no-class, of-a-base-method, attention or baselines; or all: those of all groups but the last two that run on the "
    "model, without those that cost over twice Score-CAM. May be repeated.  [default: those of all that take one "
    "forward pass]",
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
    "picture's own class, which --target-from says where to find.",
)
@click.option(
    "--target-from",
    metavar="SOURCE",
    help="Each picture's own class: name (its file name begins with a number, or it or its folder names a synset), "
    "boxes (class in the file of --boxes), or a CSV, TSV or JSON file with columns "
    f"{PATHS[0]} and {TARGETS[0]}.  "
    "[default: boxes, where they name classes; otherwise top-1]",
)
@click.option(
    "--boxes",
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help=f"JSON: a list of rows with {or_else(PATHS)}, boxes of x0, y0, x1, y1 in its pixels and, if known, "
    f"{or_else(TARGETS)}: a number, a name or a list of them. Where all rows have a class, it is what is explained.",
)
@options.out("Folder for the table and the figure.", required=True)
@options.overwrite
@options.labels
@options.batch
@click.option(
    "--steps",
    default=STEPS,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of insertion and deletion steps.",
)
@options.fit(None, "squeeze with --boxes, otherwise crop")
@click.option(
    "--floors/--no-floors",
    default=True,
    help="Also measure baseline maps that do not depend on the picture: random, a Gaussian in the centre, ones.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random maps and of ROAD's noise.")
@options.dtype
def evaluate(**given) -> None:
    """Measure how good the maps of PICTURES are: models × methods × metrics.

    Shows a table and writes it to DIR, with standard errors (summary.csv, summary.json), each picture's values
    (pictures.csv) and a figure (figure.png). A map that is zero everywhere has a note in pictures.csv. Ctrl-C keeps
    what is done.

    A picture that cannot be read is skipped, and the exit code is then 1. It is 2 where an argument is wrong.
    """
    with told():
        from .._pixels import Pixels
        from . import _job

        given["pixels"] = take(Pixels, given)
        job = _job.prepare(
            take(_job.Models, given), take(_job.Material, given), take(_job.Measures, given), **given
        )
    end(lambda: _job.carry_out(job), batch=job.protocol.batch, covered="the files cover")
