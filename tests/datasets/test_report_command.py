"""The command `jaxcam report`."""

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from made_store import make_pictures, make_store

from jaxcam.cli import main


def command(*arguments) -> SimpleNamespace:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(main, ["report", *map(str, arguments)])
    crashed = result.exception if not isinstance(result.exception, SystemExit) else None
    return SimpleNamespace(code=result.exit_code, stdout=result.stdout, error=result.stderr, crashed=crashed)


@pytest.fixture
def store(tmp_path):
    names = make_pictures(tmp_path / "pictures", 6)
    return make_store(tmp_path / "maps.zarr", tmp_path / "pictures", names, method="gradcam", seed=0)


def test_writes_one_file_and_says_how_large(store, tmp_path):
    result = command(store, "--out", tmp_path / "report.html", "--limit", 4, "--title", "Six")
    assert (result.code, result.crashed) == (0, None)
    size = (tmp_path / "report.html").stat().st_size / 1e6
    assert result.stdout == f"6 records, 4 of them shown in {tmp_path / 'report.html'}: {size:.1f} MB\n"
    assert "<title>Six</title>" in (tmp_path / "report.html").read_text("utf-8")


def test_an_existing_file_is_kept_unless_told(store, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("mine")
    result = command(store, "--out", out)
    assert result.code == 2
    assert "--overwrite" in result.error
    assert out.read_text() == "mine"
    assert command(store, "--out", out, "--overwrite").code == 0
    assert out.read_text("utf-8").startswith("<!doctype html>")


def test_pictures_that_moved(store, tmp_path):
    (tmp_path / "pictures").rename(tmp_path / "moved")
    result = command(store, "--out", tmp_path / "a.html")
    assert result.code == 0
    assert "6 without their picture: --pictures" in result.error
    result = command(store, "--out", tmp_path / "b.html", "--pictures", tmp_path / "moved")
    assert (result.code, result.error) == (0, "")


def test_a_record_that_failed_is_not_a_missing_picture(tmp_path):
    names = make_pictures(tmp_path / "pictures", 6)
    status = np.array([1, 2, 1, 1, 2, 1], np.uint8)
    out = make_store(
        tmp_path / "a.zarr", tmp_path / "pictures", names, method="gradcam", seed=0, status=status
    )
    (tmp_path / "pictures" / names[1]).write_bytes(b"no picture")
    (tmp_path / "pictures" / names[4]).unlink()
    result = command(out, "--out", tmp_path / "a.html")
    assert (result.code, result.error) == (0, "")
    (tmp_path / "pictures" / names[2]).unlink()
    result = command(out, "--out", tmp_path / "b.html")
    assert result.error.startswith("1 without their picture")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.zarr"], "no store of maps at 'nothing.zarr'"),
        (["{store}", "--budget", "0.01"], "pass a larger budget"),
        (["{store}", "--limit", "0"], "--limit"),
        (["{store}", "--pictures", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_told_in_a_line(store, tmp_path, arguments, words):
    given = [each.format(store=store) for each in arguments]
    result = command(*given, "--out", tmp_path / "report.html")
    assert (result.code, result.crashed) == (2, None)
    assert words in result.error
    assert not (tmp_path / "report.html").exists()
