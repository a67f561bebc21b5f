"""Implements `jaxcam evaluate`: checks the arguments, then measures, writes and shows."""

import functools
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from ... import _terminal
from ..._errors import unknown
from ...devices._chunks import within_memory
from ...files._digests import versions
from ...files._pictures import Failure, Found, find
from ...metrics._registry import METRICS, TABLE
from ...probes._blank import MapWarning
from .._arguments import check_folder, parse_options
from .._background import in_background
from ._cases import Cases, plan
from ._cost import described
from ._measure import SHARE, Job, Protocol, measure
from ._methods import asked_for
from ._models import Models, names_of, subject_of, wanted_of


@dataclass(frozen=True, kw_only=True)
class Material:
    """The pictures, and by which classes and boxes their maps are judged."""

    pictures: Sequence[Path]
    target: str | None
    target_from: str | None
    boxes: Path | None
    crop: bool | None


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The methods and the metrics, and how they are run."""

    method: Sequence[str]
    option: Sequence[str]
    metric: Sequence[str]
    steps: int
    batch: int
    floors: bool
    seed: int


def prepare(models: Models, material: Material, measures: Measures, *, out: Path, overwrite: bool) -> Job:
    """Checks everything, what costs least first, and creates the output folder last.

    Raises:
        ValueError: a name or value that does not exist, arguments or files that do not fit each other, or a folder in
            use.
        OSError: a file that cannot be read, or a folder that cannot be written.
    """
    # Check the words: they cost nothing.
    wanted = wanted_of(models)
    asked = asked_for(measures.method)
    options = parse_options(asked.methods, measures.option)
    metrics = _metrics(measures.metric, material.boxes)
    if material.boxes is not None and material.crop:
        raise ValueError(
            "with --boxes the whole picture is squeezed into the model's square: leave out --crop"
        )

    # Find the pictures, with their classes and boxes.
    check_folder(out, overwrite)
    found = find(material.pictures, out=out)
    origin, cases_for = plan(
        [each.path for each in found],
        target=material.target,
        target_from=material.target_from,
        boxes=material.boxes,
    )

    # Open the models, and leave out the methods that do not run on them.
    names = names_of(wanted)
    asked = asked._replace(named=asked.named | {each for each, given in options.items() if given})
    subjects = [
        subject_of(name, each, options, asked, cases_for) for name, each in zip(names, wanted, strict=True)
    ]

    # How maps are measured, and what the summary says of it.
    protocol = Protocol(
        metrics=metrics,
        steps=measures.steps,
        batch=min(measures.batch, sum(map(len, subjects[0].cases.values()))),
        crop=material.boxes is None if material.crop is None else material.crop,
        floors=measures.floors,
        seed=measures.seed,
    )
    run = {
        "targets": origin.word,
        "targets_from": origin.phrase,
        "boxes": None if material.boxes is None else str(material.boxes),
        "options": " ".join(measures.option),
        "metrics": list(metrics),
        "steps": protocol.steps,
        "tolerance": SHARE if material.boxes else None,
        "fit": "crop" if protocol.crop else "squeeze",
        "seed": protocol.seed,
        "batch": protocol.batch,
        "dtype": models.dtype,
        "device": jax.devices()[0].device_kind,
        **versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out.mkdir(parents=True, exist_ok=True)
    return Job(subjects, found, protocol, out, run)


def carry_out(job: Job) -> bool:
    """Measures, writes the files and shows the table; true where all went well.

    Whatever ends it early, the tables cover what is done, batch by batch and method by method; then there is no figure.
    """
    from . import _table as _evaluate_report

    began = time.perf_counter()
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    total = sum(len(each) for subject in job.subjects for each in subject.cases.values())
    complete = False
    if cost := described(job.subjects, job.protocol):
        _terminal.console(stderr=True).print(
            f"{cost}; Ctrl-C keeps what is done", markup=False, soft_wrap=True
        )
    try:
        with (
            within_memory(job.protocol.batch),
            warnings.catch_warnings(),
            _terminal.bar("compiling", total=total) as bar,
        ):
            warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, in pictures that can be read
            warnings.simplefilter("ignore", MapWarning)  # the tables say it
            in_background(functools.partial(_measure, job, rows, failures, bar))
        complete = True
    finally:
        seconds = time.perf_counter() - began
        _evaluate_report.finish(job, list(rows), list(failures), seconds=seconds, figure=complete)
    return not failures


def _measure(
    job: Job,
    rows: list[dict[str, Any]],
    failures: list[Failure],
    bar: _terminal.Bar,
    check: Callable[[], None],
) -> None:
    """Adds to `rows` and `failures` what is done; `check` is called where it may stop."""

    def failed(failure: Failure, *, pictures: int = 0) -> None:
        failures.append(failure)
        bar.skip(failure, advance=pictures)

    skip: set[Found] = set()
    for left, subject in zip(range(len(job.subjects), 0, -1), job.subjects, strict=True):

        def unread(failure: Failure, left: int = left, cases: Cases = subject.cases) -> None:
            skip.add(failure.found)  # told once, not for every model
            failed(failure, pictures=left * len(cases[failure.found.path]))

        for each in measure(
            subject, job.pictures, job.protocol, skip=skip, unread=unread, failed=failed, tell=bar.step
        ):
            check()
            rows += each


def _metrics(given: Sequence[str], boxes: Path | None) -> tuple[str, ...]:
    possible = [name for name in METRICS if boxes or TABLE[name].needs != "boxes"]
    groups = {"basic": [name for name in possible if TABLE[name].basic], "all": possible}
    names = [name for each in given or ["basic"] for name in groups.get(each, (each,))]
    for name in names:
        if name not in METRICS:
            raise ValueError(unknown("metric", name, [*METRICS, *groups], show=99))
        if name not in possible:
            raise ValueError(f"the metric {name} needs boxes: pass --boxes")
    return tuple(name for name in METRICS if name in names)
