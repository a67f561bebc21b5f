"""Names, commands and formats are those of the list in goldens/surface.json; old stores and exports open as before."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import surface

import jaxcam
from jaxcam import cli, datasets

GOLDENS = Path(__file__).parent / "goldens"
BEFORE = json.loads((GOLDENS / "surface.json").read_text())

# What was meant to change since, and why: the beginning of a line of `differences`.
CHANGED = {
    **{
        f"names/{module}/{method}/parameters/{option}: gone": "the sweeps have answered which value is best"
        for module in ("jaxcam", "jaxcam.methods")
        for method, options in {
            "clustercam": ("scissors", "temperature", "baseline"),
            "conceptorcam": ("anchor", "negatives"),
            "conceptor_fuse": ("anchor",),
        }.items()
        for option in options
    },
    "names/jaxcam.conceptor/check_positive: gone": "a helper that was not a public function",
    **{
        f"commands/{command}/--weights/required: True is now False": "a function or an explainer may have its own"
        for command in ("convert", "evaluate", "explain", "export")
    },
}


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """A line for each thing that was taken away or changed. What was added to an object does not count."""
    if where.startswith("names/") and where.endswith("/parameters"):
        yield from _parameters(before, now, where)
    elif isinstance(before, dict) and isinstance(now, dict):
        for key, each in before.items():
            below = f"{where}/{key}"
            if key in now:
                yield from differences(each, now[key], below)
            else:
                yield f"{below}: gone"
    elif (
        isinstance(before, list)
        and isinstance(now, list)
        and where.endswith(("/members", "/value", "/files"))
    ):
        yield from (f"{where}/{each}: gone" for each in before if each not in now)
    elif where.endswith("/codecs") and now == [*before, {"name": "crc32c"}]:
        return  # chunks have carried checksums since
    elif before != now:
        yield f"{where}: {before!r} is now {now!r}"


def _parameters(before: list[list[str]], now: list[list[str]], where: str) -> Iterator[str]:
    """Those that are there must be as they were, in their order; others may follow that nobody has to give."""
    found = {name: [kind, default] for name, kind, default in now}
    old = [name for name, _, _ in before]
    for name, *each in before:
        if name not in found:
            yield f"{where}/{name}: gone"
        elif found[name] != each:
            yield f"{where}/{name}: {each} is now {found[name]}"
    if [name for name in found if name in old] != [name for name in old if name in found]:
        yield f"{where}: another order"
    for name, (_, default) in found.items():
        if name not in old and default == "required":
            yield f"{where}/{name}: must be given"


def unexpected(part: str, now: Any) -> list[str]:
    return [
        line
        for line in differences(BEFORE[part], json.loads(json.dumps(now)), part)
        if not line.startswith(tuple(CHANGED))
    ]


@pytest.fixture(scope="module")
def today(tmp_path_factory) -> Path:
    """A folder with the stores and the export that today's code makes."""
    folder = tmp_path_factory.mktemp("today")
    for name in surface.STORES:
        surface.write_store(folder, name)
    surface.write_export(folder)
    return folder


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """The same, made by the old code, and their maps as NumPy's files."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(GOLDENS / "surface.zip") as files:
        files.extractall(folder)
    return folder


def test_public_names_and_their_parameters():
    assert unexpected("names", surface.names()) == []


def test_commands_and_their_options():
    assert unexpected("commands", surface.commands()) == []


def test_every_option_has_a_help_text():
    options = [
        f"{name} {option.opts[0]}"
        for name, command in cli.main.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert options == []


def test_format_of_stores(today):
    assert unexpected("stores", surface.stores(today)) == []


def test_format_of_exports(today):
    assert unexpected("exports", surface.exports(today)) == []


@pytest.mark.parametrize("name", surface.STORES)
def test_an_old_store_opens_and_its_maps_are_those_of_today(before, today, name):
    old, new = (datasets.open_store(folder / name / "store.zarr") for folder in (before, today))
    maps = np.load(before / name / "maps.npy")
    np.testing.assert_array_equal(old["maps"], maps)
    np.testing.assert_allclose(new["maps"], maps, rtol=1e-3, atol=1e-3)  # float16, and other versions of XLA
    assert list(old["path"]) == list(new["path"]) == [f"{number}.png" for number in range(5)]
    for array in ("status", "label", "target", "digest"):
        np.testing.assert_array_equal(old[array], new[array])


def test_a_run_into_an_old_store_finds_it_complete(before):
    settings = surface.STORES["top-1"]
    assert surface.run(before / "top-1", **settings).computed == 0


def test_a_report_of_an_old_store(before, tmp_path):
    assert datasets.report(before / "top-1" / "store.zarr", out=tmp_path / "page").records == 5


def test_an_old_export_opens_and_its_maps_are_those_of_today(before):
    maps = np.load(before / "maps.npy")
    image = surface.image()[None]
    np.testing.assert_allclose(jaxcam.restore(before / "explainer.jaxcam")(image)[0], maps, atol=1e-5)
    np.testing.assert_allclose(jaxcam.explain(surface.probe(), image)[0], maps, atol=1e-5)


def test_a_name_that_is_gone_and_an_option_that_must_be_given_are_found():
    before = {"f": {"parameters": [["a", "KEYWORD_ONLY", "1"], ["b", "KEYWORD_ONLY", "2"]]}, "g": "module"}
    now = {"f": {"parameters": [["b", "KEYWORD_ONLY", "3"], ["c", "KEYWORD_ONLY", "required"]]}}
    assert list(differences(before, now, "names")) == [
        "names/f/parameters/a: gone",
        "names/f/parameters/b: ['KEYWORD_ONLY', '2'] is now ['KEYWORD_ONLY', '3']",
        "names/f/parameters/c: must be given",
        "names/g: gone",
    ]
