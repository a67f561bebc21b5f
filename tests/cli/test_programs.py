"""What commands compile is kept for the next one."""

import os
import subprocess
import sys

import pytest

from jaxcam.cli import _programs

CODE = (
    "import sys\n"
    "from jaxcam.cli import main\n"
    "assert 'jax' not in sys.modules\n"
    "main(['methods', '--json'], standalone_mode=False)\n"
    "import jax, jax.numpy as jnp\n"
    "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
    "jax.jit(lambda x: x @ x + 1)(jnp.ones((4, 4)))\n"
)


def folder_after(tmp_path, **environment):
    """The files in the cache after a command and a compilation in a process of its own."""
    names = {"JAX_COMPILATION_CACHE_DIR", "JAXCAM_KEEP_PROGRAMS"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    given = kept | {"JAXCAM_CACHE": str(tmp_path)} | environment
    subprocess.run([sys.executable, "-c", CODE], env=given, check=True, capture_output=True)
    return [path for path in tmp_path.rglob("*-cache") if path.is_file()]


@pytest.mark.exhaustive
def test_programs_are_kept_where_the_cache_is(tmp_path):
    found = folder_after(tmp_path)
    assert found
    assert {path.parents[1].name for path in found} == {"programs"}
    assert _programs._machine() == found[0].parent.name


@pytest.mark.exhaustive
def test_programs_are_not_kept_where_that_is_said(tmp_path):
    assert folder_after(tmp_path, JAXCAM_KEEP_PROGRAMS="0") == []


def test_a_folder_that_cannot_be_made_is_no_mistake(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAXCAM_CACHE", str(tmp_path / "file"))
    monkeypatch.delitem(sys.modules, "jax")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    _programs.keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_a_process_that_runs_jax_is_left_alone(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    _programs.keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
