"""The fuzz of damaged and hostile files itself: a short run of each kind, and that it finds what it looks for."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["checkpoints", "pictures", "manifests", "explainers", "stores"])
def test_no_file_does_what_it_may_not(kind):
    command = [sys.executable, BENCHMARKS / "fuzz.py", "--kind", kind, "--seconds", "4", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_seed_alone_makes_a_file(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from _fuzz import checkpoints, explainers

    bases = {"any": {"program.bin": bytes(200), "metadata.json": b"{}"}}

    def made(make):
        return [make(np.random.default_rng(seed), bases).files for seed in range(20)]

    first = [made(checkpoints.checkpoint), made(explainers.explainer)]
    monkeypatch.setattr(time, "time", lambda: 1e9)  # in 2001
    assert [made(checkpoints.checkpoint), made(explainers.explainer)] == first


def crash(path):
    os.abort()


def hang(path):
    time.sleep(60)


def touch(pages):
    with mmap.mmap(-1, pages * 4096) as memory:  # what is free in this process's heap would not count
        memory[::4096] = b"x" * pages


def fill(path):
    touch(37_500)  # 154 MB
    return "read"


def start(path):
    subprocess.run(["true"], check=True)
    return "read"


def err(path):
    raise KeyError("own")


@pytest.mark.skipif(sys.platform != "linux", reason="the fuzz forks and reads /proc")
@pytest.mark.filterwarnings("ignore:.*fork.*:")
@pytest.mark.parametrize(
    ("judge", "verdict"),
    [
        (crash, "crash"),
        (hang, "hang"),
        (fill, "memory"),
        (start, "code"),
        (err, "undocumented"),
        (lambda path: "read", "read"),
    ],
)
def test_what_it_looks_for_is_found(monkeypatch, tmp_path, judge, verdict):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from _fuzz import judging

    if judge is fill:  # of a process that once held more than the file takes
        monkeypatch.setattr(judging, "SPARE", 10**8)  # a tenth of what is allowed: touching memory takes time
        touch(100_000)
    wall = 3 if judge is hang else 60  # a busy machine takes its time to fill memory
    assert judging.judged(judge, tmp_path, 1000, wall)[0] == verdict
