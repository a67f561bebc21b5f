"""The conventions of the public names, by reflection."""

import inspect
import re
import subprocess
import sys

import pytest

import jaxcam
from jaxcam.methods import BASES

FUNCTIONS = {
    name: getattr(jaxcam, name) for name in jaxcam.__all__ if inspect.isfunction(getattr(jaxcam, name))
}


def test_every_public_name_is_there():
    for name in jaxcam.__all__:
        assert getattr(jaxcam, name) is not None
    with pytest.raises(AttributeError, match="gradcamm"):
        _ = jaxcam.gradcamm


def test_the_table_of_methods_is_the_public_functions():
    for name, method in jaxcam.METHODS.items():
        assert getattr(jaxcam, name) is method
        assert method.__name__ == name


@pytest.mark.parametrize("name", jaxcam.METHODS)
def test_method_has_the_one_signature(name):
    parameters = list(inspect.signature(jaxcam.METHODS[name]).parameters.values())
    assert [each.name for each in parameters[:3]] == ["probe", "image", "target"]
    assert parameters[2].default is None
    for option in parameters[3:]:
        assert option.kind is option.KEYWORD_ONLY
        assert option.default is not option.empty
    assert ("fuse" in [each.name for each in parameters]) is (name in BASES or name == "conceptorcam")
    assert len(parameters[3:]) <= 10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keyword_only(name):
    for each in list(inspect.signature(FUNCTIONS[name]).parameters.values())[3:]:
        assert each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD), f"{name}({each.name})"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_carries_its_definition(name):
    text = inspect.getdoc(FUNCTIONS[name])
    assert text
    first = text.splitlines()[0]
    assert first[0].isupper() or first[0] == "`"
    if name in jaxcam.METHODS:
        assert re.search(r"`M = [^`]+`", text), "no formula"
        for word in ("When: ", "Args:", "Returns:", "(*space, C)", "(*space)", "Source: "):
            assert word in text, word
        assert re.search(r"\[(paper|third party|ours)\]", text.split("Source: ")[1])
        for option in list(inspect.signature(FUNCTIONS[name]).parameters)[3:]:
            assert f"{option}: " in text, option


def test_import_loads_nothing_until_it_is_used():
    code = "import sys, jaxcam; assert 'jax' not in sys.modules; jaxcam.gradcam; assert 'jax' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_is_never_imported():
    code = (
        "import sys, jaxcam, converters\n"
        "for name in jaxcam.__all__: getattr(jaxcam, name)\n"
        "for name in converters.__all__: getattr(converters, name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
