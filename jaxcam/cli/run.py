"""The command `jaxcam run`: a whole data set into a store."""

import json as jsonlib
import sys
from pathlib import Path
from typing import Any

import click

from .._errors import listed
from ..datasets.store._columns import MAPS_DTYPES, STORED
from ..metrics._registry import NEED_NOTHING
from . import _options as options
from ._once import Once
from ._options import FOLDER_OR_FILE, Mistake, named_method, told

HOSTS = ("coordinator", "processes", "process", "distributed")


@click.command(cls=Once)
@click.argument("dataset", required=False, type=FOLDER_OR_FILE)
@options.model(required=False)
@options.pixels
@options.method
@click.option(
    "--target",
    multiple=True,
    metavar="CLASS",
    help="Number or name of a class, top-K, predicted (which is top-1), or label: what the data set says of each "
    "record. Classes may be repeated.  [default: top-1]",
)
@click.option(
    "--target-from",
    metavar="SOURCE",
    help="label or predicted: the same as --target with that word, as in `jaxcam evaluate`.",
)
@click.option(
    "--out",
    required=True,
    metavar="STORE",
    help="A folder such as maps.zarr, or a bucket's URL (gs://, s3://).",
)
@click.option("--status", is_flag=True, help="Print how far the run into STORE is, and do nothing else.")
@click.option(
    "--verify",
    is_flag=True,
    help="With --status, also read every chunk, and list those that are damaged or missing; then the exit code is 1.",
)
@click.option("--strict", is_flag=True, help="End at the first record that fails.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print events on standard output, one JSON object on each line."
)
@options.labels
@click.option(
    "--batch",
    default=16,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of pictures that each device computes at once; the size of the store's chunks.",
)
@click.option(
    "--stored",
    default="image",
    show_default=True,
    type=click.Choice(STORED),
    help="What to store: maps for display, at the size of the model's input (image) or of the layer; or raw signed "
    "maps, at the layer's size.",
)
@click.option(
    "--maps-dtype",
    default="float16",
    show_default=True,
    type=click.Choice(MAPS_DTYPES),
    help="Floating point type of the stored maps.",
)
@click.option("--logits", is_flag=True, help="Keep the model's whole output, not only the best five classes.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help=f"Also keep a metric of each map: {listed(NEED_NOTHING)}. May be repeated.",
)
@options.fit(True, True)
@options.dtype
@click.option(
    "--devices", type=click.IntRange(min=1), help="Number of this process's devices to use.  [default: all]"
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Number of threads that read pictures.  [default: one for each core]",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Number of processes that share the data set, here or on other hosts.",
)
@click.option("--process", type=click.IntRange(min=0), help="Number of this process, from 0 on.")
@click.option("--coordinator", metavar="HOST:PORT", help="Address of process 0, to use jax.distributed.")
@click.option(
    "--distributed",
    is_flag=True,
    help="Let JAX find the processes: Cloud TPU, SLURM, Open MPI. Automatic under srun and mpirun.",
)
def run(dataset: Path | None, out: str, status: bool, verify: bool, as_json: bool, **given: Any) -> None:
    """Explain a whole DATASET into a zarr v3 store, resumable, on every device.

    DATASET is a folder of pictures (class folders are understood), a manifest (.csv, .tsv, .jsonl, .parquet), arrays
    (.npy, .npz, zarr) or ArrayRecord files. Killed at any moment and run again, it goes on where it was.

    A record that cannot be read is recorded with the reason and skipped, and the exit code is then 1. It is 2 where an
    argument is wrong, and 130 or 143 after Ctrl-C or SIGTERM, when what was in flight is written.
    """
    if status:
        sys.exit(_show_status(out, as_json, verify=verify))
    if verify:
        raise Mistake("--verify goes with --status")
    if dataset is None or given["model"] is None:
        raise Mistake("DATASET, --model and --weights are needed, unless it is for --status")
    try:
        code = _explain(dataset, out, as_json, **given)
    except KeyboardInterrupt:  # the run itself hears it later on, and ends with what is in flight
        click.echo("interrupted before the first batch: the same command goes on", err=True)
        code = 130
    sys.exit(code)


def _explain(dataset: Path, out: str, as_json: bool, **given: Any) -> int:
    with told((ValueError, OSError, ImportError, RuntimeError)):
        from . import _hosts

        share = _hosts.join(**{name: given.pop(name) for name in HOSTS})
    with told():
        from . import _run_dataset
        from ._open_model import wanted_of

        wanted, method = wanted_of(given), named_method(given)
        job = _run_dataset.prepare(wanted, method=method, dataset=dataset, out=out, share=share, **given)
    return _run_dataset.carry_out(job, as_json=as_json)


def _show_status(out: str, as_json: bool, *, verify: bool) -> int:
    with told():
        from .. import datasets

        found = datasets.status(out, verify=verify)
    if as_json:
        click.echo(jsonlib.dumps(found._asdict()))
    else:
        from . import _run_dataset

        click.echo(_run_dataset.describe_status(found))
    return 1 if found.damaged else 0
