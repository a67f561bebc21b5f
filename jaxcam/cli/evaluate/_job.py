"""The command `jaxcam evaluate`: checks all that it was given, then measures, writes and shows."""

import functools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from ... import _terminal
from ..._errors import unknown
from ...devices._chunks import within_memory
from ...files._digests import describe_weights, versions
from ...files._labels import labels_for
from ...files._pictures import Failure, Found, find
from ...methods import METHODS
from ...methods._costs import COSTS
from ...metrics import METRICS
from ...probes._blank import MapWarning
from ...probes._flops import flops
from ...probes._probe import Probe
from .._arguments import check_folder, chosen_layer, parse_options
from .._background import in_background
from .._open_model import open_model
from ._cases import Cases, plan
from ._cost import described
from ._measure import NEED_BOXES, TOLERANCE, Job, Protocol, Subject, measure

BASIC = ("average_drop", "average_increase", "insertion", "deletion", "complexity")
FAST = tuple(name for name, cost in COSTS.items() if cost.forward == "1")  # one forward pass: the default


def prepare(
    *,
    converters: Any,
    pictures: Sequence[Path],
    model: Sequence[str],
    weights: Sequence[Path],
    layer: Sequence[str],
    method: Sequence[str],
    option: Iterable[str],
    metric: Sequence[str],
    target: str | None,
    target_from: str | None,
    boxes: Path | None,
    labels: Path | None,
    crop: bool | None,
    steps: int,
    batch: int,
    floors: bool,
    seed: int,
    dtype: str,
    out: Path,
    overwrite: bool,
) -> Job:
    """Checks everything, what costs least first, and creates the output folder last.

    Raises:
        ValueError: a name or value that does not exist, arguments or files that do not fit each other, or a folder in
            use.
        OSError: a file that cannot be read, or a folder that cannot be written.
    """
    if len(model) != len(weights):
        raise ValueError(
            f"each model needs its weights: got --model {len(model)} and --weights {len(weights)} times"
        )
    if layer and len(layer) != len(model):
        raise ValueError(
            f"--layer is given for each model or for none: got {len(layer)} for {len(model)} models"
        )
    layers = [
        chosen_layer(name, given) for name, given in zip(model, layer or [None] * len(model), strict=True)
    ]
    chosen = _methods(method)
    options = parse_options({name: METHODS[name] for name in chosen}, option)
    metrics = _metrics(metric, boxes)
    if boxes is not None and crop:
        raise ValueError(
            "with --boxes the whole picture is squeezed into the model's square: leave out --crop"
        )
    check_folder(out, overwrite)
    found = find(pictures, out=out)
    origin, cases_for = plan(
        [each.path for each in found], target=target, target_from=target_from, boxes=boxes
    )

    subjects = []
    names = _distinct(model, weights, layers)
    for name, kind, given, where in zip(names, model, weights, layers, strict=True):
        opened = open_model(converters, kind, given, layer=where, dtype=dtype)
        words = labels_for(kind, opened.classes, path=labels)
        forwards, left_out = _forwards(opened.probe, opened.image, options)
        for each in left_out:
            if each in method or options[each]:
                raise ValueError(f"{each} does not run on {name}: {left_out[each]}")
        subjects.append(
            Subject(
                name=name,
                model=kind,
                weights=describe_weights(opened.weights),
                layer=where,
                probe=opened.probe,
                preprocess=opened.preprocess,
                labels=words,
                cases=cases_for(words, opened.preprocess.size),
                methods={each: (METHODS[each], options[each]) for each in forwards},
                forwards=forwards,
                left_out=left_out,
            )
        )
    protocol = Protocol(
        metrics=metrics,
        steps=steps,
        batch=min(batch, sum(map(len, subjects[0].cases.values()))),
        crop=boxes is None if crop is None else crop,
        floors=floors,
        seed=seed,
    )
    run = {
        "targets": origin.word,
        "targets_from": origin.phrase,
        "boxes": None if boxes is None else str(boxes),
        "options": " ".join(option),
        "metrics": list(metrics),
        "steps": steps,
        "tolerance": TOLERANCE if boxes else None,
        "fit": "crop" if protocol.crop else "squeeze",
        "seed": seed,
        "batch": protocol.batch,
        "dtype": dtype,
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


def _methods(given: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in (*METHODS, "all"):
            raise ValueError(unknown("method", name, [*METHODS, "all"], show=99))
    return tuple(METHODS) if "all" in given else tuple(dict.fromkeys(given)) or FAST


def _metrics(given: Sequence[str], boxes: Path | None) -> tuple[str, ...]:
    groups = {
        "basic": BASIC + (NEED_BOXES if boxes else ()),
        "all": tuple(name for name in METRICS if boxes or name not in NEED_BOXES),
    }
    names = [name for each in given or ["basic"] for name in groups.get(each, (each,))]
    for name in names:
        if name not in METRICS:
            raise ValueError(unknown("metric", name, [*METRICS, *groups], show=99))
        if name in NEED_BOXES and boxes is None:
            raise ValueError(f"the metric {name} needs boxes: pass --boxes")
    return tuple(name for name in METRICS if name in names)


def _distinct(model: Sequence[str], weights: Sequence[Path], layers: Sequence[str]) -> list[str]:
    """A name for each model, with its weights and its layer as far as it takes them to tell it from the others."""
    for names in (
        list(model),
        [f"{name} {_terminal.shown(file.stem)}" for name, file in zip(model, weights, strict=True)],
        [f"{name} {where}" for name, where in zip(model, layers, strict=True)],
        [
            f"{name} {_terminal.shown(file)} {where}"
            for name, file, where in zip(model, weights, layers, strict=True)
        ],
    ):
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"{Counter(names).most_common(1)[0][0]} is given twice")


def _forwards(
    looker: Probe, image: jax.ShapeDtypeStruct, options: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, float], dict[str, str]]:
    """What each method costs in forward passes of the model, and why the others do not run."""
    forward = flops(lambda probe, image: probe(image)[0], looker, image)
    costs, left_out = {}, {}
    for name, given in options.items():
        try:
            cost = flops(lambda probe, image: METHODS[name](probe, image, 0, **given), looker, image)  # noqa: B023
            costs[name] = cost / forward
        except (ValueError, TypeError) as error:
            left_out[name] = str(error)
    return costs, left_out
