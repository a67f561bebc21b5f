"""Exported explainers, restored and called."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from .mutations import Case, Kind, mutate, one_changed, short, write_member


def explainers(folder: Path) -> dict[str, dict[str, bytes]]:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    import jaxcam

    class Net(nnx.Module):
        def __init__(self):
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=nnx.Rngs(0))
            self.fc = nnx.Linear(6, 4, rngs=nnx.Rngs(1))

        def __call__(self, x):
            return self.fc(jnp.mean(jax.nn.relu(self.conv(x)), axis=(1, 2)))

    bases = {}
    for method in ("gradcam", "eigencam", "scorecam", "cam"):
        path = folder / f"{method}.jaxcam"
        jaxcam.export(jaxcam.probe(Net(), "conv"), path, image=(8, 8, 3), method=method, platforms=("cpu",))
        with zipfile.ZipFile(path) as parts:
            bases[method] = {name: parts.read(name) for name in parts.namelist()}
    return bases


def explainer(rng: np.random.Generator, bases: dict) -> Case:
    base, what, files = one_changed(rng, bases, likely=lambda name: name == "program.bin")
    file = io.BytesIO()
    whole = rng.integers(4) == 0
    with zipfile.ZipFile(file, "w") as parts:  # its checksums are right
        for name, content in (bases[base] if whole else files).items():
            write_member(parts, name, content)
    content = mutate(rng, file.getvalue()) if whole else file.getvalue()
    return Case(f"{base} {'zip' if whole else what}", {"x.jaxcam": content}, "x.jaxcam")


def judge_explainer(path: Path) -> str:
    import jaxcam
    from jaxcam.exporting import _restore

    _restore.vet = _forked_vet  # as `restore` does it, but for the start of Python: a second each
    try:
        restored = jaxcam.restore(path)
    except (ValueError, OSError) as error:
        return short(error)
    if restored.metadata["image"] != [8, 8, 3]:
        return "read"
    try:
        np.asarray(restored(np.ones((2, 8, 8, 3), restored.metadata["dtype"])))
    except (ValueError, TypeError) as error:
        return short(error)
    return "called"


def _forked_vet(program: bytes) -> tuple[str, ...]:
    import resource

    from jaxcam.exporting import _vetting

    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (5, most))  # `vet` waits for a minute
            os.write(writing, json.dumps(_vetting.answer(program)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        answer = said.read()
    return _vetting.verdict(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer)


KIND = Kind(explainers, explainer, judge_explainer)
