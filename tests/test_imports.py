"""Imports go one way: from commands down to words for errors, and never in a circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the bottom up. A module may import those of its own line and of the lines above it.
FLOORS = [
    {"jaxcam._errors", "jaxcam._version", "jaxcam._dtypes"},
    {"jaxcam.targets", "jaxcam._display", "jaxcam._fuse", "jaxcam.models"},
    {"jaxcam.probes"},
    {"jaxcam._checks", "jaxcam.devices", "jaxcam.files", "jaxcam.figures"},
    {
        "jaxcam._masks",
        "jaxcam._method",
        "jaxcam._kmeans",
        "jaxcam.conceptor",
        "jaxcam._terminal",
        "converters",
    },
    {"jaxcam.transforms"},
    {"jaxcam.methods"},
    {"jaxcam._request"},
    {"jaxcam._explain"},
    {"jaxcam.exporting", "jaxcam.metrics"},
    {"jaxcam.datasets", "jaxcam.demo"},
    {"jaxcam.cli"},
    {"jaxcam.__main__"},
]
# Parts of data sets, in the same order.
DATASETS = ["sources", "store", "running", "reports"]
FACES = {
    "jaxcam",
    "converters",
    "jaxcam.datasets",
    "jaxcam.cli",
}  # they import what is below them to give it a name


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_of(path): path for top in ("jaxcam", "converters") for path in sorted((ROOT / top).rglob("*.py"))
}


def imported(module: str) -> Iterator[str]:
    """The modules of this project that a module imports, wherever in it."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            named = (f"{source}.{each.name}" for each in node.names)
            found = [name if name in MODULES else source for name in named]
        elif isinstance(node, ast.Import):
            found = [each.name for each in node.names]
        else:
            continue
        yield from (each for each in found if each in MODULES and each != module)


ARROWS = {module: set(imported(module)) for module in MODULES}


def floor(module: str) -> int:
    """The line of FLOORS that a module is in, from 0; -1 for one that is in none."""
    found = (
        number
        for number, each in enumerate(FLOORS)
        if any(module == name or module.startswith(name + ".") for name in each)
    )
    return next(found, -1)


def part(module: str) -> int:
    """Where a module of data sets stands among the parts; -1 for all others."""
    names = module.split(".")
    return DATASETS.index(names[2]) if names[1:2] == ["datasets"] and names[2] in DATASETS else -1


def upward() -> list[str]:
    """Arrows that run back up, by the floors or by the parts of data sets."""
    return [
        f"{module} -> {target}"
        for module, targets in ARROWS.items()
        if module not in FACES
        for target in sorted(targets - FACES)
        if floor(target) > floor(module) or part(target) > part(module) >= 0
    ]


def test_every_module_has_a_floor():
    assert [module for module in MODULES if module != "jaxcam" and floor(module) < 0] == []


def test_imports_go_one_way():
    assert upward() == []


def test_an_arrow_that_runs_back_up_is_found(monkeypatch):
    monkeypatch.setitem(ARROWS, "jaxcam._errors", {"jaxcam._explain"})
    monkeypatch.setitem(ARROWS, "jaxcam.datasets.store._store", {"jaxcam.datasets.reports._report"})
    assert upward() == [
        "jaxcam._errors -> jaxcam._explain",
        "jaxcam.datasets.store._store -> jaxcam.datasets.reports._report",
    ]


def test_no_circle():
    TopologicalSorter(ARROWS).prepare()


def test_a_circle_is_found(monkeypatch):
    monkeypatch.setitem(ARROWS, "jaxcam._errors", {"jaxcam._explain"})
    with pytest.raises(CycleError):
        TopologicalSorter(ARROWS).prepare()


def test_who_imports_the_converters():
    """Commands do, and `jaxcam.converters` is them by another name: the library runs without them."""
    assert [
        module
        for module, targets in ARROWS.items()
        if module.startswith("jaxcam")
        and any(each.startswith("converters") for each in targets)
        and not module.startswith("jaxcam.cli")
    ] == ["jaxcam"]
    outside = ast.parse(MODULES["jaxcam"].read_text()).body  # of functions
    assert not any(isinstance(each, ast.Import) and each.names[0].name == "converters" for each in outside)


def test_the_converters_by_the_packages_name():
    """They are not imported before that name is used."""
    code = (
        "import sys, jaxcam; assert 'converters' not in sys.modules and 'converters' in dir(jaxcam); "
        "import converters; assert jaxcam.converters is converters; jaxcam.converters.load"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_module_travels_as_an_argument():
    named = {name.split(".")[0] for name in MODULES} | {"jax", "np", "jnp"}
    assert [
        f"{module}: {node.arg}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.arg) and node.arg in named
    ] == []


def test_the_root_stays_small():
    files = [each.name for each in (ROOT / "jaxcam").iterdir() if each.is_file()]
    assert len(files) <= 16, sorted(files)
