"""Implements `jaxcam explain`: checks the arguments, then runs the gallery and shows progress."""

import time
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ... import _terminal
from ..._errors import unknown
from ...devices._chunks import within_memory
from ...files._digests import versions
from ...files._labels import describe_targets, parse_targets
from ...files._pictures import Failure, Found, find
from ...probes._blank import MapWarning
from .._arguments import check_folder
from .._chosen_method import check_method, check_stored, chosen_method
from .._open_model import Wanted, check_wanted, open_model
from ._gallery import Gallery
from ._index import write_index


class Job(NamedTuple):
    """The gallery, its pictures, and what the index says of the run."""

    gallery: Gallery
    pictures: Sequence[Found]
    run: dict[str, Any]


def prepare(
    wanted: Wanted,
    *,
    pictures: Sequence[Path],
    method: str | None,
    option: Iterable[str],
    target: Sequence[str],
    out: Path,
    batch: int,
    crop: bool,
    stored: str,
    colormap: str,
    alpha: float,
    overwrite: bool,
) -> Job:
    """Checks all arguments, the cheapest checks first, and creates the output folder last.

    Raises:
        ValueError: a name or value that does not exist (the message says what does), or a folder in use.
        OSError: a file that cannot be read, or a folder that cannot be written.
    """
    # Check what was given, what costs least first.
    check_wanted(wanted)
    check_method(wanted, method, option)
    _check_colormap(colormap)
    check_folder(out, overwrite)
    found = find(pictures, out=out)

    # Open the model: it knows its classes and the size of its maps.
    opened = open_model(wanted)
    chosen = chosen_method(opened, method, option)
    check_stored(opened, stored, "--raw" if stored == "raw" else "--size layer")
    targets = parse_targets(target, opened.labels)
    height, width = jax.eval_shape(
        lambda probe, image: chosen.function(probe, image, 0, **chosen.options), opened.probe, opened.image
    ).shape

    # What is done, and what the index says of it.
    gallery = Gallery(
        probe=opened.probe,
        method=chosen.function,
        options=chosen.options,
        targets=targets,
        labels=opened.labels,
        preprocess=opened.preprocess,
        out=out,
        batch=min(batch, len(found)),
        crop=crop,
        stored=stored,
        colormap=colormap,
        alpha=alpha,
    )
    run = {
        "model": wanted.model,
        **opened.weights,
        "layer": opened.layer,
        "layer_size": f"{height}x{width}",
        "method": chosen.name,
        "options": " ".join(option),
        "targets": describe_targets(targets),
        "stored": stored,
        "fit": "crop" if crop else "squeeze",
        "dtype": wanted.dtype,
        **versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out.mkdir(parents=True, exist_ok=True)
    return Job(gallery, found, run)


def carry_out(job: Job) -> bool:
    """Explains the pictures, writes the index, shows the table; true where all went well.

    Whatever ends it early, the index covers the pictures that are done.
    """
    began = time.perf_counter()
    entries: list[dict] = []
    failures: list[Failure] = []
    try:
        with (
            within_memory(job.gallery.batch),
            warnings.catch_warnings(),
            _terminal.bar("compiling", total=len(job.pictures)) as bar,
        ):
            warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, in pictures that can be read
            warnings.simplefilter("ignore", MapWarning)  # the index and the last lines say it of every map

            def report(each: dict | Failure) -> None:
                if isinstance(each, Failure):
                    failures.append(each)
                    bar.skip(each)
                else:
                    entries.append(each)
                    bar.step("explaining")

            job.gallery.run(job.pictures, report)
    finally:
        order = {str(found.path): number for number, found in enumerate(job.pictures)}
        entries.sort(key=lambda entry: order[entry["picture"]])
        failures.sort(key=lambda failure: order[str(failure.found.path)])
        write_index(job.gallery.out, run=job.run, entries=entries, failures=failures)
        seconds = time.perf_counter() - began
        _terminal.results(entries, failures, total=len(job.pictures), out=job.gallery.out, seconds=seconds)
    return not failures


def _check_colormap(name: str) -> None:
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(unknown("colour map", name, dict.fromkeys(["turbo", "viridis", *colormaps]), show=6))
