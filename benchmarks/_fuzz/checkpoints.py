"""Checkpoints, as `fuzz_checkpoints.py` makes them."""

from pathlib import Path

import numpy as np

from .mutations import Case, Kind


def checkpoint(rng: np.random.Generator, bases: dict) -> Case:
    from fuzz_checkpoints import cases

    name, content, ending = next(iter(cases(rng)))
    return Case(name, {f"x{ending}": content}, f"x{ending}")


def judge_checkpoint(path: Path) -> str:
    from fuzz_checkpoints import judge

    said = judge(path)
    return said if said == "read" else "refused"


KIND = Kind(lambda folder: {}, checkpoint, judge_checkpoint)
