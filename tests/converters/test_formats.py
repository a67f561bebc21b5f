"""The table of formats is the only place that says which there are: documents and the command line agree with it."""

import numpy as np
import pytest
from click.testing import CliRunner

import converters
from converters._formats import FORMATS, WRITERS, Content, format_of
from jaxcam.cli import main

WORDS = {each.endings[0] or "orbax" for each in FORMATS}


def test_help_names_every_format_that_is_read():
    shown = (
        CliRunner()
        .invoke(main, ["explain", "--help"])
        .output.partition("--weights")[2]
        .partition("--layer")[0]
    )
    assert all(word in shown for word in WORDS)
    files = [each for each in FORMATS if each.words != "orbax folders"]
    assert all(ending in converters.read.__doc__ for each in files for ending in each.endings)
    assert "orbax folder" in converters.read.__doc__


def test_help_names_every_format_that_is_written():
    shown = (
        CliRunner()
        .invoke(main, ["convert", "--help"])
        .output.partition("--out")[2]
        .partition("--overwrite")[0]
    )
    words = {each.endings[0] or "orbax" for each in FORMATS if each.write}
    assert all(word in shown and word in converters.save.__doc__ for word in words)
    assert not any(word in shown for word in WORDS - words)


@pytest.mark.parametrize("ending", WRITERS)
def test_what_is_written_is_recognised(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    WRITERS[ending](path, {"w": np.ones(3, np.float32)}, {})
    assert format_of(path).write is WRITERS[ending]


@pytest.mark.parametrize(
    "content",
    [
        Content(folder=True),
        Content(head=b"PK\3\4", members=("a.npy",)),
        Content(head=b"PK\3\4", members=("a.npy", "b")),
    ],
)
def test_formats_exclude_each_other(content):
    assert sum(each.is_of(content) for each in FORMATS) == 1
