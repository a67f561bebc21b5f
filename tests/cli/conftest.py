"""A small checkpoint, small pictures, and the command line run in this process."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from flax import nnx
from PIL import Image

from converters._fit import shapes
from jaxcam import models
from jaxcam.cli import main

MODEL = "cifar_resnet20"


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Random weights of MODEL, drawn by numpy: nothing to compile."""
    rng = np.random.default_rng(0)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return np.full(shape, name.endswith(("weight", "running_var")), np.float32)
        return rng.normal(0, (1 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)

    model = nnx.eval_shape(lambda: models.build(MODEL, rngs=nnx.Rngs(0)))
    path = tmp_path_factory.mktemp("weights") / "random.npz"
    np.savez(path, **{name: draw(name, shape) for name, shape in shapes(model).items()})
    return path


@pytest.fixture(scope="session")
def headless(weights, tmp_path_factory) -> Path:
    """The same, but with a last layer of zeros: no class has a gradient."""
    parameters = dict(np.load(weights))
    path = tmp_path_factory.mktemp("headless") / "headless.npz"
    np.savez(path, **parameters | {name: 0 * parameters[name] for name in ("linear.weight", "linear.bias")})
    return path


@pytest.fixture(scope="session")
def scene():
    """(seed) -> a PIL picture of smooth colours, 48 x 40, different for every seed."""

    def make(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
        return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)

    return make


@pytest.fixture
def folder(tmp_path, scene) -> Path:
    """Five pictures a.png ... e.png."""
    made = tmp_path / "pictures"
    made.mkdir()
    for seed, name in enumerate("abcde"):
        scene(seed).save(made / f"{name}.png")
    return made


@pytest.fixture
def jaxcam_command():
    """Runs the command line; gives its exit code, all it printed, standard output alone, and the error if any.

    `defaults`: options and their values, each for where it is not among the arguments.
    """

    def run(*arguments, defaults=()):
        for name, value in zip(defaults[::2], defaults[1::2], strict=True):
            arguments += () if name in arguments else (name, value)
        result = CliRunner(env={"COLUMNS": "200"}).invoke(main, [str(each) for each in arguments])
        crashed = result.exception if not isinstance(result.exception, SystemExit) else None
        return SimpleNamespace(
            code=result.exit_code,
            text=result.output,
            stdout=result.stdout,
            error=result.stderr,
            crashed=crashed,
        )

    return run


@pytest.fixture
def explain(jaxcam_command, weights, tmp_path):
    """Runs `jaxcam explain` into a new folder; what it wrote is at `.out`, its index at `.index`."""
    runs = iter(range(99))

    def run(*arguments, out=None):
        out = out or tmp_path / f"out{next(runs)}"
        given = ("--model", MODEL, "--weights", weights, "--out", out, "--batch", 2)  # one size compiles once
        result = jaxcam_command("explain", *arguments, defaults=given)
        result.out = out
        index = out / "index.json"
        result.index = json.loads(index.read_text()) if index.is_file() else None
        return result

    return run
