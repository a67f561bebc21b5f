"""Explain a whole data set into a store, and go on where an earlier run ended."""

import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from .._method import Method
from .._request import Request
from ..devices._chunks import within_memory
from ..files._labels import Labels as Names
from ..models._preprocess import Preprocess
from ..probes._probe import Probe
from ..targets._several import Top
from .running._changed import check_unchanged
from .running._clock import Clock
from .running._feed import feed, shape_of_records
from .running._identity import describe, notes, versions
from .running._labelling import Labels, labels_of
from .running._log import Log
from .running._loop import BadRecord, Loop
from .running._meter import Listener, Meter, Summary
from .running._plan import Plan, parse_targets, shape_of
from .running._program import Device, Program
from .running._pulse import pulse
from .running._signals import Stop, Stopped, listening
from .sources._classes import as_labels
from .sources._open import Dataset
from .sources._open import open as open_source
from .sources._record import Source
from .store._columns import DONE, FAILED, STATUS, Column
from .store._leftovers import belongs, sweep
from .store._resume import open_or_create
from .store._store import Store
from .store._verify import find
from .store._writer import Writer


def run(
    source: Dataset,
    probe: Probe,
    *,
    out: str | os.PathLike[str],
    preprocess: Preprocess | None,
    method: Method | str = "gradcam",
    options: Mapping[str, object] | None = None,
    targets: str | int | Top | list[int] | tuple[int, ...] = "top-1",
    crop: bool = True,
    stored: str = "image",
    maps_dtype: str = "float16",
    logits: bool = False,
    metrics: Sequence[str] = (),
    batch: int = 16,
    classes: Names | Sequence[str] | None = None,
    devices: Sequence[Device] | None = None,
    workers: int | None = None,
    process: int = 0,
    processes: int = 1,
    strict: bool = False,
    metadata: Mapping[str, object] | None = None,
    listeners: Sequence[Listener] = (),
) -> Summary:
    """Explains every record of a data set into a zarr v3 store, resumed where there is one already.

    Kill it at any moment and call it again: it computes what is missing, and the store is bit for bit what an
    undisturbed run makes. Each batch is computed whole on one device, so neither the number of devices nor that of
    processes changes what is computed; XLA may round differently where it compiles for one device or for several.

    A run that goes on compares a bounded number of records with the digests in the store, and makes a batch again
    whose chunk is missing or, as far as it reads chunks, damaged: a note in the log says which.

    Args:
        source: of pictures: what `jaxcam.datasets.open` takes, or what it gives.
        probe: a layer of a model, from `jaxcam.probe`.
        out: the store: a folder, or a URL (`gs://`, `s3://`, `file://`).
        preprocess: as the model wants pictures, from `jaxcam.models.preprocess`. None for records that are arrays of
            floats `(*space, C)`, all of one shape, which the model takes as they are: signals, volumes, or pictures
            of any number of channels.
        method: a function of `jaxcam.METHODS`, its name, or any function of the same signature.
        options: of the method.
        targets: the classes to explain: "top-1", "top-5", `jaxcam.top(k)`; a class, or several, for every record; or
            "label", the class that the source says of each.
        crop: take a picture's centre, rather than squeeze all of it into the model's square.
        stored: "image", maps for display at the size of the model's input; "layer", at the layer's; "raw", signed,
            at the layer's.
        maps_dtype: "float16" or "float32".
        logits: keep the whole output of the model, not only the five most likely classes.
        metrics: of each map, kept in arrays of these names: average_drop, average_increase, average_gain (a forward
            pass more), insertion, deletion (225 each), complexity (none), as `jaxcam.metrics` has them.
        batch: records that a device computes at once, and a chunk of the store.
        classes: names of the model's classes, for the store and for the class names of the source.
        devices: of this process, by default all of them.
        workers: threads that read and decode.
        process, processes: this process takes every `processes`-th batch, from the batch `process` on. The others
            take theirs, here or on other hosts; they share nothing but the store.
        strict: the first record that fails ends the run.
        metadata: what else to keep of the model, as JSON: its name, the file of its weights.
        listeners: called with each event of the run, a dict.

    Returns:
        A summary of this process's share.

    Raises:
        ValueError: a wrong argument, a store made otherwise (with the difference), one that another run writes, a
            record that has changed since it was explained, or targets="label" where no record has one.
        TypeError: an option that the method does not have.
        BadRecord: a record failed, with `strict`.
        OSError: the store cannot be written, such as on a full disk, or was removed; what is written stays valid.
        MemoryError: a batch does not fit into the device's memory.
        Stopped: Ctrl-C or SIGTERM; what was in flight is written. It is a KeyboardInterrupt.
    """
    # What is read.
    if not hasattr(source, "fingerprint"):
        source = open_source(source, boxes=False, preprocessed=preprocess is None)
    source = cast(Source, source)
    _check_counts(len(source), batch, process, processes)
    *size, channels = (
        shape_of_records(source) if preprocess is None else (preprocess.size, preprocess.size, 3)
    )
    reading = _Reading(source, preprocess, (*size, channels), crop, workers or max(2, os.cpu_count() or 2))

    # What is computed of each record, and kept.
    plan = Plan(
        targets=parse_targets(targets),
        stored=stored,
        size=tuple(size),
        channels=channels,
        maps_dtype=maps_dtype,
        logits=logits,
        metrics=tuple(dict.fromkeys(metrics)),
    )
    options = options or {}
    request = plan.bind(probe, batch=min(batch, len(source)), method=method, options=options)
    shape = shape_of(request)
    columns = plan.columns(shape)

    # Which class of the model each record's own label is.
    names = as_labels(classes)
    labels = labels_of(source, names, shape.classes, needed=plan.targets is None)

    # The store: a new one, or one that was begun with the same settings.
    more = {**(metadata or {}), "layer_size": list(shape.size)}
    more["classes"] = None if names is None else list(names.names)
    attributes = describe(plan, request, options, source, preprocess, crop=crop, more=more)
    labels.check(source)
    writer = open_or_create(str(out), columns, attributes, batch=request.batch, wait=process > 0)
    store = writer.store

    with pulse(store.kv, store.location, process, processes):
        # What is left of this process's share, after a look at what is there.
        mine = range(process, store.batches, processes)
        remarks = notes(store.attributes, attributes) + _left_out(source) + _mend(writer, mine)
        done = store.done()
        left = [number for number in mine if number not in done]
        remarks += check_unchanged(store, source, [number for number in mine if number in done])
        sweep(store.location, belongs(left, process))

        # Who hears of it.
        used = list(devices or jax.local_devices())
        meter = Meter([Log(store, process), *listeners], clock=Clock(), **standing(store, mine))
        task = _Task(reading, plan, request, columns, labels, used, strict)

        # Explain it, until a signal comes.
        with listening() as stop, warnings.catch_warnings(), within_memory(request.batch):
            warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, in pictures that can be read
            meter.tell("start", **_who(used, process, processes), **meter.now())
            for each in remarks:
                meter.tell("note", text=each)
            try:
                if strict and meter.failed:
                    raise BadRecord(f"{meter.failed} records of {store.location!r} have failed before")
                if left:
                    _explain(task, writer, left, meter, stop)
                if left and not meter.left:
                    writer.check_complete(mine)
            except Exception as error:
                meter.tell("error", reason=str(error), **meter.now())
                raise
            summary = meter.summary(store.location)
            meter.tell("stop" if stop() else "end", **summary._asdict())
    if stop.signal is not None and meter.left:
        raise Stopped(summary, stop.signal)
    return summary


class _Reading(NamedTuple):
    """Where pictures come from, and how they are read."""

    source: Source
    preprocess: Preprocess | None
    shape: tuple[int, ...]
    crop: bool
    workers: int


class _Task(NamedTuple):
    """How every batch is read, computed and written."""

    reading: _Reading
    plan: Plan
    request: Request
    columns: Sequence[Column]
    labels: Labels
    devices: Sequence[Device]
    strict: bool


def _explain(task: _Task, writer: Writer, left: Sequence[int], meter: Meter, stop: Stop) -> None:
    """Compiles the program, and computes and writes the batches that are `left`."""
    program = Program(task.plan, task.request, task.devices)
    meter.tell("compiled", seconds=round(meter.clock.seconds, 3))
    meter.clock.start()
    batches = feed(
        task.reading.source,
        task.reading.preprocess,
        batch=program.batch,
        indices_of_batches=left,
        crop=task.reading.crop,
        workers=task.reading.workers,
        ahead=2 * program.devices + 1,  # one step's batches, while the next one's are read
        shape=task.reading.shape,
    )
    reporting = {"report": meter.written, "clock": meter.clock, "strict": task.strict}
    Loop(writer, task.columns, program, task.labels, **reporting).run(batches, stop)


def _mend(writer: Writer, mine: range) -> list[str]:
    """Marks batches with a damaged or missing chunk as not done, and returns a note for each."""
    done = writer.store.done()
    damaged = find(writer.store, [number for number in mine if number in done])
    for number in {each.batch for each in damaged}:
        writer.forget(number)
    return [f"{each}: the batch is made again" for each in damaged]


def _left_out(source: Source) -> list[str]:
    """Notes on files that the source does not read."""
    left_out = getattr(source, "left_out", "")
    return [left_out] if left_out else []


def standing(store: Store, mine: range) -> dict[str, int]:
    """Number of records in these batches: all, done, failed, with a note."""
    status = store.read(STATUS)
    share = np.isin(np.arange(store.records) // store.batch, mine)
    noted = store.read("note") != "" if "note" in store.names and (status == DONE).any() else False
    return {
        "total": int(share.sum()),
        "done": int((share & (status == DONE)).sum()),
        "failed": int((share & (status == FAILED)).sum()),
        "noted": int((share & noted).sum()),
        "batch": store.batch,
    }


def _who(devices: Sequence[Device], process: int, processes: int) -> dict[str, Any]:
    return {
        "process": process,
        "processes": processes,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "devices": [str(each) for each in devices],
        "platform": devices[0].platform,
        "versions": versions(),
    }


def _check_counts(records: int, batch: int, process: int, processes: int) -> None:
    if records == 0:
        raise ValueError("the data set is empty")
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a whole number of at least 1; got {batch!r}")
    if not 0 <= process < processes:
        raise ValueError(f"process is 0 to {processes - 1}, for {processes} processes; got {process}")
