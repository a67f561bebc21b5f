"""Implements `jaxcam run`: checks the arguments, runs, and reports how the run ended."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from rich.text import Text

from .. import datasets
from .._terminal import console, duration, printable
from ..datasets.running._meter import Event, Summary
from ..datasets.running._program import Device
from ..datasets.running._status import Status
from ..datasets.store._columns import FAILED, STATUS
from ..datasets.store._damage import Damage
from ..files._labels import Labels, parse_targets
from ..targets._several import Top
from ._chosen_method import check_method, check_stored, chosen_method
from ._open_model import Wanted, check_wanted, open_model
from ._options import Mistake
from ._progress import shown

SHOWN = 3  # failures told again in the last line
DAMAGED = 20  # chunks that are named


def prepare(
    wanted: Wanted,
    *,
    dataset: Path,
    out: str,
    method: str | None,
    option: Sequence[str],
    target: Sequence[str],
    target_from: str | None,
    devices: int | None,
    share: tuple[int, int],
    stored: str,
    **same: Any,
) -> dict[str, Any]:
    """The arguments of `jaxcam.datasets.run`, after the checks that it does not make itself, the cheapest first.

    Raises ValueError for a name or value that does not exist, OSError for a file that cannot be read.
    """
    check_wanted(wanted)
    check_method(wanted, method, option)
    target = _target_from(target_from, target)
    source = datasets.open(dataset, boxes=False)
    opened = open_model(wanted)
    chosen = chosen_method(opened, method, option)
    check_stored(opened, stored, f"--stored {stored}")
    return {
        "source": source,
        "probe": opened.probe,
        "out": out,
        "preprocess": opened.preprocess,
        "method": chosen.function,
        "options": chosen.options,
        "stored": stored,
        "targets": _targets(target, opened.labels),
        "classes": opened.labels,
        "devices": _devices(devices),
        "process": share[0],
        "processes": share[1],
        "metadata": {
            "model": wanted.model,
            "weights": {"file": opened.weights["weights"], "sha256": opened.weights["sha256"]},
            "layer": opened.layer,
            "dtype": wanted.dtype,
            "command": shlex.join(["jaxcam", *sys.argv[1:]]),
        },
        **same,
    }


def carry_out(job: dict[str, Any], *, as_json: bool) -> int:
    """Runs, shows progress, and returns the exit code."""
    started = False

    def note(event: Event) -> None:
        nonlocal started
        started = True

    try:
        with shown(as_json=as_json) as tell:
            summary = datasets.run(**job, listeners=[note, tell])
    except datasets.Stopped as stopped:
        click.echo(f"stopped: {stopped}. The same command goes on", err=True)
        return 128 + stopped.signal
    except datasets.BadRecord as error:
        raise click.ClickException(f"{printable(str(error))}. Without --strict it is skipped") from error
    except MemoryError as error:
        raise click.ClickException(f"{error}: pass a smaller --batch than {job['batch']}") from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(f"{error.strerror or error}{where}") from error
    except ValueError as error:
        if started:
            raise
        raise Mistake(str(error)) from error
    if not as_json:
        click.echo(describe(summary))
    if summary.failed:
        _tell_failures(summary)
    return 1 if summary.failed else 0


def describe(summary: Summary) -> str:
    """`38 records in a.zarr: 37 explained, 1 failed; 38 in 9 s (4.2 images/s), device busy 70%: decoding is ...`"""
    text = (
        f"{summary.records:,} records in {summary.out}: {summary.done:,} explained, {summary.failed:,} failed"
    )
    if summary.noted:
        text += f", {summary.noted:,} of them with a map that is zero everywhere (array `note`)"
    if not summary.computed:
        return f"{text}; nothing was left to do"
    limit = "the device is" if summary.limit == "device" else f"{summary.limit} is"
    return (
        f"{text}; {summary.computed:,} in {duration(summary.seconds)} ({summary.rate:.1f} images/s), "
        f"device busy {summary.busy:.0%}: {limit} the limit"
    )


def describe_status(found: Status) -> str:
    """Two lines: progress of the run, and the processes at work."""
    left = f" ({duration(found.left / found.rate)} at that rate)" if found.left and found.rate else ""
    rate = f", {found.rate:.1f} images/s" if found.rate else ""
    who = ", ".join(
        f"process {each['process']} (pid {each['pid']} on {each['host']})" for each in found.alive
    )
    idle = "no process is running" + ("; the same command goes on" if found.left else "")
    return (
        f"{found.out}: {found.done:,} of {found.records:,} explained, {found.failed:,} failed, "
        f"{found.left:,} left{rate}{left}\n{'running: ' + who if who else idle}{_damage(found)}"
    )


def _damage(found: Status) -> str:
    if found.damaged is None:
        return ""
    lines = [Damage(**each) for each in found.damaged]
    named = [f"\n{each}. {each.remedy}" for each in lines[:DAMAGED]]
    more = [f"\nand {len(lines) - DAMAGED} chunks more"] * (len(lines) > DAMAGED)
    return "".join([*named, *more]) or "\nevery chunk was read, and none is damaged or missing"


def _targets(texts: Sequence[str], names: Labels) -> Top | list[int] | str:
    if "label" not in [text.strip().casefold() for text in texts]:
        return parse_targets(texts, names)
    if len(texts) > 1:
        raise ValueError("target label stands alone: leave the other targets out")
    return "label"


def _target_from(word: str | None, target: Sequence[str]) -> Sequence[str]:
    """`--target-from` as `jaxcam evaluate` has it, of which a data set has its own labels and the prediction."""
    if word is None:
        return target
    if target:
        raise ValueError("pass --target or --target-from, not both")
    if word not in ("label", "predicted"):
        raise ValueError(
            f"--target-from {word!r}: of a data set, label or predicted. Its labels come with it: from folders of "
            "classes, a manifest's column `target` or an array's labels"
        )
    return [word]


def _devices(count: int | None) -> list[Device] | None:
    if count is None:
        return None
    there = jax.local_devices()
    if count > len(there):
        raise ValueError(f"--devices {count}: there are {len(there)}")
    return there[:count]


def _tell_failures(summary: Summary) -> None:
    """A last line on how many records failed, and why the first of them did."""
    store = datasets.open_store(summary.out)
    bad = np.flatnonzero(store.read(STATUS) == FAILED)
    reasons = [
        f"{store.read('path', row, row + 1)[0]}: {store.read('error', row, row + 1)[0]}"
        for row in bad[:SHOWN].tolist()
    ]
    if bad.size > SHOWN:
        reasons.append(f"and {bad.size - SHOWN} more, in the store's array `error`")
    line = f"{bad.size} of {store.records} records failed: {'; '.join(reasons)}"
    console(stderr=True).print(Text(printable(line), "bold red"), soft_wrap=True)
