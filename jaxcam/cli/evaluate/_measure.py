"""Maps of pictures by every method of one model, timed and measured batch by batch."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._explain import explain
from ...files._labels import Labels
from ...files._pictures import Failure, Found, Picture, in_groups, read, read_ahead, readable
from ...metrics import evaluate, floors
from ...metrics._floors import FLOORS
from ...metrics._registry import TABLE, TOLERANCE
from ...models._preprocess import Preprocess
from ...probes._blank import Blank
from ...probes._probe import Probe
from ._cases import Case, Cases

SHARE = TOLERANCE / 224  # the pointing game's tolerance as a share of the input's side, which was 224 pixels


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model whose maps are measured.

    Attributes:
        name: what it is called in tables; no other model of the run has it.
        methods: each a function and its options.
        forwards: what one map of each method costs, in forward passes of the model.
        left_out: methods that do not run on this model, and why.
        dear: methods that are left out for what one map costs, and that cost in forward passes of the model.
    """

    name: str
    model: str
    weights: Mapping[str, str]
    layer: str
    probe: Probe
    preprocess: Preprocess
    labels: Labels
    cases: Cases
    methods: Mapping[str, tuple[Callable, Mapping[str, Any]]]
    forwards: Mapping[str, float]
    left_out: Mapping[str, str]
    dear: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How maps are measured."""

    metrics: tuple[str, ...]
    steps: int
    batch: int
    crop: bool
    floors: bool
    seed: int


def measure(
    subject: Subject,
    pictures: Sequence[Found],
    protocol: Protocol,
    *,
    skip: Container[Found],
    unread: Callable[[Failure], None],
    failed: Callable[[Failure], None],
    tell: Callable[..., None],
) -> Iterator[list[dict[str, Any]]]:
    """Yields rows, a map's each: those of a method or a floor on a batch of pictures, all of them batch by batch.

    Args:
        skip: pictures to leave out.
        unread: called for a picture that cannot be read.
        failed: called for a map that cannot be measured.
        tell: called with what was just done and, as `advance`, how many pictures' worth of the work that was.

    A row holds the metrics that its map can have (a floor has no coherency), NaN where they cannot be measured.
    """
    order = {found: number for number, found in enumerate(pictures)}
    boxes = [case.boxes for each in subject.cases.values() for case in each if case.boxes is not None]
    most = max(map(len, boxes), default=0)
    reader = functools.partial(read, preprocess=subject.preprocess, crop=protocol.crop)
    wanted = [each for each in pictures if each not in skip]
    programs: dict[str, Callable] = {}
    blank = Blank(subject.probe)
    with contextlib.closing(read_ahead(wanted, reader, ahead=2 * protocol.batch)) as reading:
        jobs = (
            (picture, case)
            for picture in readable(reading, unread)
            for case in subject.cases[picture.found.path]
        )
        for group in in_groups(jobs, protocol.batch):
            numbers = [order[picture.found] for picture, _ in group]
            batch = _batch(subject, group, numbers, protocol.batch, most)
            done = len(group) / (len(subject.methods) + protocol.floors)
            # Measure the maps of each method.
            for name, (method, options) in subject.methods.items():
                if name not in programs:
                    programs[name] = _compiled(subject.probe, batch, method, options)
                began = time.perf_counter()
                maps = np.asarray(programs[name](subject.probe, batch.images, batch.targets))
                spent = {"milliseconds": 1000 * (time.perf_counter() - began) / protocol.batch}
                made = {"method": method, "options": options, "blank": blank}
                rows = _rows(subject, protocol, batch, name, maps, failed, spent, **made)
                tell(f"{subject.name} {name}", advance=done)
                yield rows
            # Measure the baseline maps.
            if protocol.floors:
                known = _floors(jax.random.key(protocol.seed), batch.numbers, batch.images.shape[1:3])
                for name, maps in zip(FLOORS, known, strict=True):
                    yield _rows(subject, protocol, batch, name, np.asarray(maps), failed, {})
                tell(f"{subject.name} floors", advance=done)


class _Batch(NamedTuple):
    """Cases of a full batch, the last repeated where there are fewer; `facts` has one record a case that is real."""

    facts: list[dict[str, Any]]
    found: list[Found]
    numbers: np.ndarray
    images: jax.Array
    targets: np.ndarray
    boxes: list[np.ndarray] | None


def _batch(
    subject: Subject, group: list[tuple[Picture, Case]], numbers: list[int], size: int, most: int
) -> _Batch:
    # Run the model once for the outputs, and choose the classes.
    full = group + group[-1:] * (size - len(group))
    images = jnp.asarray(np.stack([picture.image for picture, _ in full]))
    outputs = np.asarray(_forward(subject.probe, images), np.float32)
    targets = [_likeliest(output, case) for output, (_, case) in zip(outputs, full, strict=True)]
    facts = []
    for (picture, case), output, target in zip(group, outputs, targets, strict=False):
        with np.errstate(invalid="ignore"):  # logits that are not finite: their metrics are NaN and tell it
            weights = np.exp(output - output.max())
        best = int(output.argmax())
        facts.append(
            {
                "picture": str(picture.found.path),
                "target": target,
                "target_name": subject.labels.names[target],
                "probability": float(weights[target] / weights.sum()),
                "prediction": best,
                "prediction_name": subject.labels.names[best],
                "category": case.classes[0] if case.classes else target,
            }
        )
    # as many boxes for all: the same box twice changes nothing, and one program does for all batches
    boxes = [
        np.concatenate([case.boxes, case.boxes[:1].repeat(most - len(case.boxes), 0)])
        for _, case in full
        if case.boxes is not None
    ]
    return _Batch(
        facts,
        [picture.found for picture, _ in group],
        np.asarray(numbers + numbers[-1:] * (size - len(group))),
        images,
        np.asarray(targets, np.int32),
        boxes or None,
    )


def _rows(
    subject: Subject,
    protocol: Protocol,
    batch: _Batch,
    name: str,
    maps: np.ndarray,
    failed: Callable[[Failure], None],
    spent: Mapping[str, float],
    *,
    method: Callable | None = None,
    options: Mapping[str, Any] | None = None,
    blank: Blank | None = None,
) -> list[dict[str, Any]]:
    # a floor comes from no method that could make it again
    metrics = [each for each in protocol.metrics if method is not None or TABLE[each].needs != "method"]
    finite = np.asarray(np.isfinite(maps).all(axis=(1, 2)))
    values = (
        evaluate(
            subject.probe,
            batch.images,
            batch.targets,
            np.where(finite[:, None, None], maps, np.zeros_like(maps)),
            metrics=metrics,
            steps=protocol.steps,
            key=_keys(jax.random.key(protocol.seed), batch.numbers),
            boxes=batch.boxes,
            tolerance=SHARE * subject.preprocess.size,
            method=method,
            options=options,
        )
        if metrics
        else {}
    )
    table = {metric: np.asarray(value, np.float64) for metric, value in values.items()}
    rows = []
    for place, (facts, found) in enumerate(zip(batch.facts, batch.found, strict=True)):
        row: dict[str, Any] = {metric: float(value[place]) for metric, value in table.items()}
        if not (finite[place] and np.isfinite(list(row.values())).all()):
            failed(Failure(found, f"{subject.name} {name}: the model's output or the map is not finite"))
            row = dict.fromkeys(row, math.nan)
        elif blank is not None and (
            note := blank.note(maps[place], batch.images[place], batch.targets[place])
        ):
            row["note"] = note
        for metric, each in TABLE.items():
            if each.difference is not None and row.keys() >= {*each.difference}:
                row[metric] = row[each.difference[0]] - row[each.difference[1]]
        rows.append({"model": subject.name, "method": name, **facts, **row, **spent})
    return rows


def _compiled(probe: Probe, batch: _Batch, method: Callable, options: Mapping[str, Any]) -> Callable:
    """Compiled apart, so that the time of a call is that of the maps."""
    program = jax.jit(functools.partial(explain, method=method, **options))
    return program.lower(probe, batch.images, batch.targets).compile()


@jax.jit
def _forward(probe: Probe, images: jax.Array) -> jax.Array:
    return jax.vmap(lambda image: probe(image)[0])(images)


@functools.partial(jax.jit, static_argnums=2)
def _floors(key: jax.Array, numbers: jax.Array, size: tuple[int, int]) -> list[jax.Array]:
    """Each picture's own, whatever the batch."""
    keys = _keys(key, numbers)
    return jax.vmap(lambda key: [floors(1, size, key=key)[name][0] for name in FLOORS])(keys)


@jax.jit
def _keys(key: jax.Array, numbers: jax.Array) -> jax.Array:
    """Each picture's own, whatever the batch."""
    return jax.vmap(functools.partial(jax.random.fold_in, key))(numbers)


def _likeliest(output: np.ndarray, case: Case) -> int:
    classes = case.classes or range(len(output))
    return max(classes, key=lambda each: output[each])


class Job(NamedTuple):
    """An evaluation to be carried out, and what its summary says of the run."""

    subjects: Sequence[Subject]
    pictures: Sequence[Found]
    protocol: Protocol
    out: Path
    run: dict[str, Any]
