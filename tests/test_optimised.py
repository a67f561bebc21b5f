"""The package under `python -OO`, which drops docstrings and asserts."""

import json
import subprocess
import sys

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from converters._fit import shapes
from jaxcam import models

MODEL = "cifar_resnet20"


def run(*arguments, cwd=None):
    command = [sys.executable, "-OO", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=True, cwd=cwd).stdout


@pytest.mark.exhaustive  # every library is compiled anew
def test_every_public_name_and_the_tables():
    said = run(
        "-c",
        "import jaxcam, converters, jaxcam.datasets, jaxcam.metrics, jaxcam.models\n"
        "for module in (jaxcam, converters, jaxcam.datasets, jaxcam.metrics, jaxcam.models):\n"
        "    for name in module.__all__: getattr(module, name)\n"
        "from jaxcam.cli import main\n"
        "for arguments in (['methods'], ['models'], ['--help'], *([name, '--help'] for name in main.commands)):\n"
        "    main(arguments, standalone_mode=False)\n",
    )
    assert "Selvaraju et al. 2017" in said
    assert "HiResCAM: " in said
    assert "squeezenet1_1" in said
    assert "--weights" in said


@pytest.mark.exhaustive
def test_the_commands(tmp_path):
    rng = np.random.default_rng(0)
    model = nnx.eval_shape(lambda: models.build(MODEL, rngs=nnx.Rngs(0)))
    np.savez(
        tmp_path / "a.npz",
        **{name: 0.1 * rng.random(each, np.float32) for name, each in shapes(model).items()},
    )
    (tmp_path / "pictures").mkdir()
    for n in range(2):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(tmp_path / "pictures" / f"{n}.png")
    given = ["--model", MODEL, "--weights", "a.npz", "--method", "hirescam"]
    commands = [
        ["convert", MODEL, "--weights", "a.npz", "--out", "b.safetensors"],
        ["explain", "pictures", *given, "--out", "explained"],
        ["run", "pictures", *given, "--out", "store"],
        ["report", "store", "--out", "report.html"],
        ["export", *given, "--platform", "cpu", "--out", "e"],
    ]
    # in one process: each would compile and import anew
    said = run(
        "-c",
        "import sys, json\n"
        "from click.testing import CliRunner\n"
        "from jaxcam.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    done = CliRunner().invoke(main, arguments)\n"
        "    print(arguments[0], done.exit_code, done.output, done.exception)\n",
        json.dumps(commands),
        cwd=tmp_path,
    )
    for name, *_ in commands:
        assert f"{name} 0 " in said, said
    assert {"b.safetensors", "explained", "store", "report.html", "e"} <= {
        each.name for each in tmp_path.iterdir()
    }
