"""Damaged and hostile checkpoints: small valid files of every format, changed at random."""

import warnings
from pathlib import Path

import numpy as np

from .checkpoint_files import FORMATS
from .checkpoint_mutations import mutated
from .mutations import Case, Kind


def checkpoint(rng: np.random.Generator, bases: dict) -> Case:
    kind = list(FORMATS)[rng.integers(len(FORMATS))]
    ending, make = FORMATS[kind]
    content, done = make(rng), []
    for _ in range(rng.integers(0, 4)):
        content, name = mutated(rng, content)
        done.append(name)
    return Case(f"{kind} {'+'.join(done) or 'whole'}", {f"x{ending}": content}, f"x{ending}")


def judge_checkpoint(path: Path) -> str:
    """Reads a checkpoint: "read", or "refused" with a documented error. Any other error is raised."""
    import converters

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own, of strings in damaged pickles
        try:
            arrays = converters.read(path)
        except (ValueError, OSError) as error:
            if type(error) is ValueError and str(path) not in str(error):
                raise AssertionError(f"an error that does not name the file: {error}") from error
            if len(str(error)) > 2000:
                raise AssertionError(f"an error of {len(str(error))} characters") from error
            return "refused"
        for value in arrays.values():
            np.asarray(value).reshape(-1)[:1].tobytes()
    return "read"


KIND = Kind(lambda folder: {}, checkpoint, judge_checkpoint)
