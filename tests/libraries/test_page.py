"""The programs of docs/other-libraries.md that need Keras or Equimo run as they are written."""

import importlib.util
import re
from pathlib import Path

import jax.numpy as jnp
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "other-libraries.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("library", ["keras", "equimo"])
def test_program_runs(library):
    pytest.importorskip(library, reason=f"{library} is not installed: see the extra `libraries`")
    (program,) = [each for each in PROGRAMS if re.search(rf"^(import|from) {library}", each, re.MULTILINE)]
    if library == "equimo" and importlib.util.find_spec("equimo.vision"):
        program = program.replace("equimo.models", "equimo.vision.models")
    scope: dict = {}
    exec(compile(program, "program of the page", "exec"), scope)
    assert scope["maps"].shape == (2, 64, 64)
    assert jnp.isfinite(scope["maps"]).all()  # of random weights, so that one may be zero everywhere
