"""The README's programs run, its table is the program's, and so are the examples in docstrings."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import jaxcam

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_runs(program):
    scope: dict = {}
    exec(compile(program, "README.md", "exec"), scope)
    for comment in re.findall(r"^(\w+) = .*#.*?(\(\d[\d, ]*\))", program, re.MULTILINE):
        assert scope[comment[0]].shape == tuple(map(int, re.findall(r"\d+", comment[1])))


def test_there_are_two_programs():
    assert len(PROGRAMS) == 2


def test_table_lists_every_method():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(jaxcam.METHODS)


def test_costs_are_the_measured_ones():
    measured = (README.parent / "benchmarks" / "results" / "flops.md").read_text()
    for name, cost in re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", TEXT, re.MULTILINE):
        assert re.search(
            rf"^\| resnet50 \| layer4 \| {name} \| [\d.–]+ \| {re.escape(cost)} \|$", measured, re.MULTILINE
        ), name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", TEXT):
        assert (README.parent / target).exists(), target


@pytest.mark.parametrize("module", ["_probe", "_explain", "_targets", "_display", "_fuse"])
def test_docstring_examples_run(module):
    result = doctest.testmod(import_module(f"jaxcam.{module}"))
    assert result.failed == 0
