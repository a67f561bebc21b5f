"""Every method on four devices gives what it gives on one, with nothing that crosses between them."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from nets import images, small
from selection import CORE

import jaxcam
from jaxcam import METHODS
from jaxcam.devices._mesh import split_of

SCRIPT = Path(__file__).with_name("every_device.py")
LAPACK = ("eigh", "qr", "svd", "cholesky", "triangular_solve", "lu", "householder_product", "geqrf", "schur")


def on_four_devices(*arguments: str, seconds: int) -> None:
    """Runs `every_device.py`; a program that hangs ends with the time limit."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("same\n")


def test_the_families_on_four_devices():
    on_four_devices("core", "hirescam", "eigencam", "clustercam", seconds=400)


@pytest.mark.exhaustive
def test_every_method_on_four_devices():
    on_four_devices("full", seconds=1800)


def primitives(jaxpr) -> set[str]:
    """Names of all primitives of a program, those inside of others too."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
    for inner in _inner(jaxpr):
        found |= primitives(inner)
    return found


def _inner(jaxpr):
    for equation in jaxpr.eqns:
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield inner


OPTIONS = [(name, {}) for name in CORE] + [("conceptorcam", {"combine": "and"})]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_no_kernel_calls_lapack(name, options):
    method = lambda p, x: METHODS[name](p, x, 1, **options)  # noqa: E731
    slope = jax.grad(lambda p, x: jnp.sum(method(p, x) ** 2), argnums=1)
    for program in (method, slope):
        used = primitives(jax.make_jaxpr(program)(small(), images(1)[0]).jaxpr)
        assert not used.intersection(LAPACK), used.intersection(LAPACK)
        assert not [each for each in used if "lapack" in each or "ffi" in each or "custom_call" in each]
        assert "dot_general" in used or name.startswith("eigen")


def test_the_search_for_lapack_finds_it():
    matrix = jnp.eye(3)
    used = primitives(jax.make_jaxpr(jax.jit(lambda m: jax.lax.map(jnp.linalg.eigh, m[None])))(matrix).jaxpr)
    assert used.intersection(LAPACK)


def test_images_on_one_device_are_not_split():
    assert split_of(images(2)) is None
    assert split_of(jnp.asarray(images(2))) is None
    assert jax.eval_shape(lambda x: jaxcam.explain(small(), x, 1), images(2)).shape == (2, 12, 14)
