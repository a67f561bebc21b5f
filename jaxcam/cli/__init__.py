"""The command line, one file for each command. A command imports what it needs when it runs: `--help` is quick."""

import os

import click

from .._version import __version__
from . import _programs, convert, demo, evaluate, explain, export, listings, report, run

# XLA calls LAPACK from threads of its own; a second pool inside LAPACK only makes them wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="jaxcam")
@click.option(
    "--keep-programs/--no-keep-programs",
    default=True,
    show_default=True,
    envvar="JAXCAM_KEEP_PROGRAMS",
    help="Keep compiled programs for later commands, up to 1 GiB, below $JAXCAM_CACHE or ~/.cache/jaxcam.",
)
def main(keep_programs: bool) -> None:
    """Class activation maps: what in a picture speaks for a class."""
    if keep_programs:
        _programs.keep_programs()


for command in (
    explain.explain,
    evaluate.evaluate,
    convert.convert,
    listings.methods,
    listings.models,
    listings.classes,
    demo.demo,
    export.export,
    report.report,
    run.run,
):
    main.add_command(command)
