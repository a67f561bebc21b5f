"""Damaged and hostile files of five kinds, opened in processes of limited memory and time.

    python benchmarks/fuzz.py --seconds 120                                # what CI runs
    python benchmarks/fuzz.py --files 50000 --out benchmarks/results/fuzz.md   # at night

Checkpoints, pictures, manifests (with arrays and tables of targets and boxes), exported explainers (restored and called)
and stores (report, status, reading) are made from whole ones by changing bytes, numbers and lengths; every file from
the seed, its kind and its number (a store also carries the time at which its whole one was made). Each is opened in a
process forked for it from one that has imported all it needs.
The exit status is 1 if a file crashed it, took more than 10 s of CPU time or `--wall` of any, more memory than four
times the file plus 1 GB, raised an error that is not documented, or started anything.
"""

import argparse
import collections
import itertools
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _fuzz import KINDS
from _fuzz.judging import in_child, judged

SHARES = {"checkpoints": 22, "pictures": 13, "manifests": 13, "stores": 1, "explainers": 1}  # of 50
GOOD = ("read", "refused", "called")


def work(kind: str, seed: int, numbers, most: float, wall: int, keep: Path | None, results) -> None:
    """Files of one kind, one after the other. Runs in a process of its own."""
    make, judge = KINDS[kind].make, KINDS[kind].judge
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-"))
    (folder / "bases").mkdir()
    try:
        bases = in_child(lambda: KINDS[kind].bases(folder / "bases"))
        _warm(kind)
        until = time.time() + most
        for number in numbers:
            if time.time() > until:
                break
            case = make(np.random.default_rng([seed, SEEDS[kind], number]), bases)
            where = folder / "case"
            for name, content in case.files.items():
                (where / name).parent.mkdir(parents=True, exist_ok=True)
                (where / name).write_bytes(content)
            size = sum(map(len, case.files.values()))
            verdict, text, seconds, memory = judged(judge, where / case.opened, size, wall)
            name = f"{number} {case.name}"
            results.put((kind, verdict, name, text, seconds, memory))
            if verdict not in GOOD and keep is not None:
                shutil.copytree(where, keep / f"{kind}-{number}", dirs_exist_ok=True)
            shutil.rmtree(where)
    except Exception as error:  # of this script, not of a file
        results.put((kind, "broken", "the fuzz itself", f"{type(error).__name__}: {error}", 0.0, 0))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        results.put((kind, "end", "", "", 0.0, 0))


SEEDS = {kind: number for number, kind in enumerate(SHARES)}


def _warm(kind: str) -> None:
    """Imports what opening takes, but computes nothing: a process that has no threads can be forked."""
    import importlib

    names = {
        "checkpoints": ["converters", "safetensors.numpy"],
        "pictures": ["jaxcam.datasets", "jaxcam.models"],
        "manifests": [
            "jaxcam.datasets.sources._open",
            "pyarrow.parquet",
            "array_record.python.array_record_data_source",
        ],
        "explainers": [
            "jaxcam.exporting._restore",
            "jax.export",
            "jax._src.export.serialization",
            "jax.extend.mlir.dialects.stablehlo",
        ],
        "stores": ["jaxcam.datasets.reports._report", "jaxcam.datasets.running._status"],
    }[kind]
    for name in names:
        importlib.import_module(name)
    if kind in ("pictures", "stores", "manifests"):
        from PIL import Image

        import jaxcam

        Image.init()
        jaxcam.datasets.open, jaxcam.models.preprocess, jaxcam.datasets.report  # noqa: B018


def planted(folder: Path) -> Path:
    """A program `gs` first on the path that leaves a file behind: nothing may start it."""
    ran = folder / "ran"
    for name in ("gs", "gswin64c"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
        (folder / name).chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return ran


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=50000, help="number of files, of all kinds together")
    parser.add_argument(
        "--seconds", type=float, help="about so long instead, without what is imported and made first"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=SHARES, help="only this one; may be repeated")
    parser.add_argument("--number", type=int, help="only this file of the one kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--wall", type=int, default=120, help="seconds a file, on a machine that may be busy")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("--out", type=Path, help="a Markdown file for the figures")
    options = parser.parse_args()
    os.environ |= {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    kinds = options.kind or list(SHARES)
    total = sum(SHARES[kind] for kind in kinds)
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        ran = planted(Path(folder))
        found, slowest, failed = _run(options, kinds, total)
        started = ran.exists()
    seconds = time.time() - start
    lines = table(found, slowest)
    print("\n".join(lines))
    for kind, verdict, name, text in failed:
        print(f"{verdict}: {kind} {name}: {text}")
    if started:
        print("a planted gs was started")
    if options.out:
        write(
            options.out,
            lines,
            failed,
            started=started,
            seconds=seconds,
            seed=options.seed,
            workers=options.workers,
        )
    sys.exit(bool(failed) or started or not sum(found.values()))


def _run(options, kinds, total):
    context = multiprocessing.get_context("spawn")  # each imports its own alone
    found: collections.Counter = collections.Counter()
    slowest = dict.fromkeys(kinds, (0.0, 0))
    failed, waiting, running = [], [], 0
    results = context.Queue()
    for kind in kinds:
        count = -(-options.files * SHARES[kind] // total)
        parts = options.workers if options.seconds is None else 1
        for part in range(parts):
            numbers = range(part, count, parts) if options.seconds is None else itertools.count()
            numbers = [options.number] if options.number is not None else numbers
            waiting.append((kind, numbers))
    if options.number is not None:
        waiting = waiting[:1]
    rounds = -(-len(waiting) // options.workers)
    while waiting or running:
        while waiting and running < options.workers:
            kind, numbers = waiting.pop(0)
            most = options.seconds / rounds if options.seconds else 10**9
            arguments = (kind, options.seed, numbers, most, options.wall, options.keep, results)
            context.Process(target=work, args=arguments, daemon=True).start()
            running += 1
        kind, verdict, name, text, seconds, memory = results.get()
        if verdict == "end":
            running -= 1
            continue
        found[kind, verdict] += 1
        slowest[kind] = (max(slowest[kind][0], seconds), max(slowest[kind][1], memory))
        if verdict not in GOOD:
            failed.append((kind, verdict, name, text))
    return found, slowest, failed


def table(found, slowest) -> list[str]:
    bad = ["undocumented", "crash", "hang", "memory", "code", "broken"]
    lines = [
        "| kind | files | read | refused | "
        + " | ".join(bad[:-1])
        + " | slowest (CPU s) | most memory (MB) |",
        "|---" * (6 + len(bad)) + "|",
    ]
    for kind, (seconds, memory) in slowest.items():
        counts = {verdict: count for (each, verdict), count in found.items() if each == kind}
        read = counts.get("read", 0) + counts.get("called", 0)
        cells = [
            kind,
            sum(counts.values()),
            read,
            counts.get("refused", 0),
            *(counts.get(each, 0) for each in bad[:-1]),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + f" | {seconds:.2f} | {memory / 1e6:.0f} |")
    return lines


def write(out: Path, lines, failed, *, started: bool, seconds: float, seed: int, workers: int) -> None:
    import platform

    import jax
    import jaxlib
    import PIL

    versions = f"Python {platform.python_version()}, JAX {jax.__version__}, jaxlib {jaxlib.__version__}, NumPy {np.__version__}, Pillow {PIL.__version__}"
    text = [
        "# Damaged and hostile files",
        "",
        f"`python benchmarks/fuzz.py --files N --seed {seed} --workers {workers}`; {seconds / 60:.0f} minutes; {versions}.",
        "",
        "A file is read, or refused with the documented error. An explainer that is read is called, too. Memory is what",
        "the process took beyond what it had before; more than four times the file plus 1 GB fails, as do more than 10 s.",
        "",
        *lines,
        "",
        f"Programs that a file started, the planted `gs` among them: {'some' if started else 'none'}.",
    ]
    if failed:
        text += ["", "| kind | verdict | file | |", "|---|---|---|---|"]
        text += [
            f"| {kind} | {verdict} | {name} | {json.dumps(said)[:200]} |"
            for kind, verdict, name, said in failed
        ]
    out.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
