"""Explain a whole data set into a store, and go on where an earlier run ended."""

import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .._request import method_of
from ..devices._chunks import within_memory
from ..files._labels import Labels as Names
from ..models._preprocess import Preprocess
from ..probes._probe import Probe
from .running._changed import check_unchanged
from .running._clock import Clock
from .running._feed import feed
from .running._identity import describe, notes, versions
from .running._labelling import Labels, translation
from .running._log import Log
from .running._loop import BadRecord, Loop
from .running._meter import Listener, Meter, Summary
from .running._plan import Plan, parse_targets, split_options
from .running._program import Device, Program
from .running._pulse import pulse
from .running._signals import Stop, Stopped, listening
from .sources._classes import as_labels
from .sources._open import open as open_source
from .sources._record import Source
from .store._columns import DONE, FAILED, STATUS
from .store._leftovers import belongs, sweep
from .store._resume import open_or_create
from .store._store import Store
from .store._verify import find
from .store._writer import Writer


def run(
    source: Any,
    probe: Probe,
    *,
    out: str | os.PathLike,
    preprocess: Preprocess,
    method: Callable | str = "gradcam",
    options: Mapping[str, Any] | None = None,
    targets: Any = "top-1",
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
    metadata: Mapping[str, Any] | None = None,
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
        preprocess: as the model wants pictures, from `jaxcam.models.preprocess`.
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
    source = source if hasattr(source, "fingerprint") else open_source(source, boxes=False)
    _check_counts(len(source), batch, process, processes)
    function = method_of(method)
    plan = Plan(
        method=function,
        **split_options(function, options or {}),
        targets=parse_targets(targets),
        stored=stored,
        size=(preprocess.size, preprocess.size),
        maps_dtype=maps_dtype,
        logits=logits,
        metrics=tuple(dict.fromkeys(metrics)),
    )
    shape = plan.shape(probe)
    columns = plan.columns(shape)
    names = as_labels(classes)
    needed = plan.targets is None
    labels = Labels(
        translation(source.classes, names, shape.classes, needed=needed), shape.classes, needed=needed
    )
    batch = min(batch, len(source))
    more = {**(metadata or {}), "layer_size": [shape.height, shape.width]}
    more["classes"] = None if names is None else list(names.names)
    attributes = describe(plan, probe, source, preprocess, batch=batch, crop=crop, more=more)
    labels.check(source)
    writer = open_or_create(str(out), columns, attributes, batch=batch, wait=process > 0)
    store = writer.store
    with pulse(store.kv, store.location, process, processes):
        mine = range(process, store.batches, processes)
        remarks = notes(store.attributes, attributes) + _left_out(source) + _mend(writer, mine)
        done = store.done()
        left = [number for number in mine if number not in done]
        remarks += check_unchanged(store, source, [number for number in mine if number in done])
        sweep(store.location, belongs(left, process))
        used = list(devices or jax.local_devices())
        clock = Clock()
        meter = Meter([Log(store, process), *listeners], clock=clock, **standing(store, mine))

        def work(stop: Stop) -> None:
            if strict and meter.failed:
                raise BadRecord(f"{meter.failed} records of {store.location!r} have failed before")
            if not left:
                return
            program = Program(plan, probe, used, batch=batch)
            meter.tell("compiled", seconds=round(clock.seconds, 3))
            clock.start()
            batches = feed(
                source,
                preprocess,
                batch=batch,
                indices_of_batches=left,
                crop=crop,
                workers=workers or max(2, os.cpu_count() or 2),
                ahead=2 * program.devices + 1,  # one step's batches, while the next one's are read
            )
            loop = Loop(writer, columns, program, labels, report=meter.written, clock=clock, strict=strict)
            loop.run(batches, stop)
            if not meter.left:
                writer.check_complete(mine)

        with listening() as stop, warnings.catch_warnings(), within_memory(batch):
            warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, in pictures that can be read
            meter.tell("start", **_who(used, process, processes), **meter.now())
            for each in remarks:
                meter.tell("note", text=each)
            try:
                work(stop)
            except Exception as error:
                meter.tell("error", reason=str(error), **meter.now())
                raise
            summary = meter.summary(store.location)
            meter.tell("stop" if stop() else "end", **summary._asdict())
    if stop.signal is not None and meter.left:
        raise Stopped(summary, stop.signal)
    return summary


def _mend(writer: Writer, mine: range) -> list[str]:
    """Batches with a damaged or missing chunk are no longer done; says which."""
    done = writer.store.done()
    damaged = find(writer.store, [number for number in mine if number in done])
    for number in {each.batch for each in damaged}:
        writer.forget(number)
    return [f"{each}: the batch is made again" for each in damaged]


def _left_out(source: Source) -> list[str]:
    """What the source says of files that are not read."""
    left_out = getattr(source, "left_out", "")
    return [left_out] if left_out else []


def standing(store: Store, mine: range) -> dict[str, int]:
    """How many records of these batches there are, are done, have failed and have a note."""
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
        raise ValueError(f"batch is a whole number of at least 1; got {batch!r}")
    if not 0 <= process < processes:
        raise ValueError(f"process is 0 to {processes - 1}, for {processes} processes; got {process}")
