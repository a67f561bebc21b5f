"""Every test runs under strict dtype and rank promotion, and with warnings as errors."""

import importlib.util
import os
from pathlib import Path

import jax
import jaxlib.version
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of the suite's time is XLA compiling small programs that run once; without its optimisations that takes half as
# long, and half of that without its MLIR emitters, where the version has a flag for them.
# JAX_DISABLE_MOST_OPTIMIZATIONS=0 tests the programs that users run. CI does both: the numerics' tests run once more
# with the optimisations, those on real data only with them.
if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # for the processes that tests start
    if jaxlib.version.__version_info__ < (0, 11):  # later ones end Python at an unknown flag
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"


# Commands that tests start keep no programs where they would outlive the test.
os.environ.setdefault("JAXCAM_KEEP_PROGRAMS", "0")

left_out = pytest.StashKey[int]()


SLOW = frozenset(Path(__file__).with_name("slow.txt").read_text().splitlines())


def pytest_itemcollected(item):
    """The tests of slow.txt are exhaustive ones: they take over a second."""
    if item.nodeid in SLOW:
        item.add_marker(pytest.mark.exhaustive)


@pytest.hookimpl(trylast=True)  # of the tests that -m and -k leave
def pytest_collection_modifyitems(config, items):
    """Exhaustive tests run where -m speaks of them, and are left to CI where it does not."""
    if "exhaustive" in config.option.markexpr:
        return
    exhaustive = [item for item in items if item.get_closest_marker("exhaustive")]
    if exhaustive:
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=exhaustive)
    config.stash[left_out] = len(exhaustive)


def pytest_sessionfinish(session):
    """A worker of pytest-xdist sends the number of tests left out to the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    node.config.stash[left_out] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter, config):
    if number := config.stash.get(left_out, 0):
        terminalreporter.write_line(
            f"exhaustive tests left to CI: {number} (`pytest -m exhaustive` runs them)"
        )


def pytest_runtest_setup(item):
    """A parity test needs the other side."""
    if item.get_closest_marker("parity"):
        for name in ("torch", "torchvision"):
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"{name} is not installed: see the parity extra")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With JAXCAM_SKIPS=fail a skipped test is a failure: for runs that have all that tests may need."""
    report = yield
    if report.skipped and os.environ.get("JAXCAM_SKIPS") == "fail":
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real weights and pictures."""
    folder = os.environ.get("JAXCAM_TEST_DATA")
    if not folder:
        pytest.skip("JAXCAM_TEST_DATA names no folder of real weights and pictures")
    if not Path(folder, "weights").is_dir():
        pytest.skip(f"JAXCAM_TEST_DATA={folder} holds no weights/")
    return Path(folder)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def exact():
    """Matrix products in full float32, as the references compute them."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture
def unchecked():
    """Without the run-time checks of annotations, so that a wrong argument meets the library's own error."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
