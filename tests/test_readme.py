"""The programs of the README and of the pages in docs/ run, the table is the program's, docstring examples run."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import jaxcam
from jaxcam.cli import _cards

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
PAGES = [README, *sorted(README.parent.glob("docs/*.md"))]
PROGRAMS = [
    pytest.param(program, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, program in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    if not re.search(r"^(import|from) (keras|equimo)", program, re.MULTILINE)  # tests/libraries runs those
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_runs(program):
    scope: dict = {}
    exec(compile(program, "program of a page", "exec"), scope)
    for comment in re.findall(r"^(\w+) = .*#.*?(\(\d[\d, ]*\))", program, re.MULTILINE):
        assert scope[comment[0]].shape == tuple(map(int, re.findall(r"\d+", comment[1])))
    for name, bound, figure in re.findall(r"^(\w+) = .*# at (least|most) ([\d.]+)$", program, re.MULTILINE):
        assert scope[name] >= float(figure) if bound == "least" else scope[name] <= float(figure), scope[name]


def test_no_program_is_overlooked():
    assert [each.id for each in PROGRAMS] == [
        *(f"README-{number}" for number in range(2)),
        "datasets-0",
        "export-0",
        *(f"other-libraries-{number}" for number in (0, 1, 3, 5, 6)),
        *(f"probes-{number}" for number in range(3)),
        *(f"signals-and-volumes-{number}" for number in range(2)),
        *(f"targets-{number}" for number in range(4)),
        "transforms-0",
    ]


def test_table_lists_every_method():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(jaxcam.METHODS)


def test_the_page_of_methods_is_what_the_command_prints():
    page = README.parent / "docs" / "methods.md"
    assert page.read_text() == _cards.page(_cards.cards()), "run: jaxcam methods --markdown > docs/methods.md"


def test_costs_are_the_measured_ones():
    measured = (README.parent / "benchmarks" / "results" / "flops.md").read_text()
    for name, cost in re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", TEXT, re.MULTILINE):
        assert re.search(
            rf"^\| (resnet50 \| layer4|vit_b_16 \| \S+) \| {name} \| [\d.–]+ \| {re.escape(cost)} \|$",
            measured,
            re.MULTILINE,
        ), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize(
    "module",
    [
        "probes._of_model",
        "probes._tap",
        "_explain",
        "exporting._export",
        "targets._of_classes",
        "targets._of_places",
        "_display",
        "_fuse",
        "transforms._smoothed",
        "transforms._over_layers",
    ],
)
def test_docstring_examples_run(module):
    result = doctest.testmod(import_module(f"jaxcam.{module}"))
    assert result.failed == 0
