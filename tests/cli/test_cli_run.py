"""`jaxcam run`: the command around `jaxcam.datasets.run`."""

import json
import os
import signal

import numpy as np
import pytest

from jaxcam import _terminal, datasets
from jaxcam.cli import _progress
from jaxcam.datasets.running._clock import Clock
from jaxcam.datasets.running._loop import Loop


@pytest.fixture
def command(jaxcam_command, weights, folder, tmp_path):
    """Runs `jaxcam run` on a folder of five pictures into a store."""

    def run(*arguments, dataset=folder):
        given = (
            "--model",
            "cifar_resnet20",
            "--weights",
            weights,
            "--out",
            tmp_path / "a.zarr",
            "--batch",
            2,
        )
        return jaxcam_command("run", dataset, *arguments, defaults=given)

    return run


def test_a_folder_becomes_a_store(command, folder, tmp_path, jaxcam_command):
    result = command("--target", "dog", "--target", 3)
    assert result.code == 0, result.text
    assert "5 records in" in result.stdout
    assert "5 explained, 0 failed; 5 in" in result.stdout
    store = datasets.open_store(tmp_path / "a.zarr")
    assert list(store["path"]) == [f"{name}.png" for name in "abcde"]
    np.testing.assert_array_equal(store["target"], [[5, 3]] * 5)
    made = store.attributes
    assert (made["model"], made["layer"], made["dtype"]) == ("cifar_resnet20", "layer3", "float32")
    assert len(made["weights"]["sha256"]) == 64
    assert made["classes"][5] == "dog"
    again = command("--target", "dog", "--target", 3)
    assert again.code == 0
    assert "nothing was left to do" in again.stdout
    changed = command("--target", "dog", "--target", 3, "--method", "hirescam")
    assert changed.code == 2
    assert "method: 'gradcam' there, 'hirescam' now" in changed.error
    state = jaxcam_command("run", "--status", "--out", tmp_path / "a.zarr")
    assert state.code == 0
    assert "5 of 5 explained, 0 failed, 0 left" in state.stdout
    assert "no process is running" in state.stdout


def test_a_bad_record_is_skipped_and_told(command, folder, tmp_path, jaxcam_command):
    (folder / "bb.png").write_bytes(b"no picture")
    strict = command("--strict")
    assert strict.code == 1
    assert "bb.png: not a picture" in strict.error
    assert "Without --strict it is skipped" in strict.error
    result = command("--json")
    assert result.code == 1
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0]["event"] == "start"
    assert (events[-1]["event"], events[-1]["done"], events[-1]["failed"]) == ("end", 5, 1)
    last = result.error.rstrip().splitlines()[-1]
    assert last.startswith("1 of 6 records failed: bb.png: not a picture")
    state = json.loads(jaxcam_command("run", "--status", "--json", "--out", tmp_path / "a.zarr").stdout)
    assert (state["records"], state["done"], state["failed"], state["left"]) == (6, 5, 1, 0)


def test_a_signal_ends_with_its_exit_code(command, tmp_path, monkeypatch):
    np.save(tmp_path / "many.npy", np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8))
    write = Loop._write

    def interrupted(self, number, rows):
        write(self, number, rows)
        if number == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_write", interrupted)
        result = command(dataset=tmp_path / "many.npy")
    assert result.code == 143
    assert "of 60 records are written. The same command goes on" in result.error
    assert command(dataset=tmp_path / "many.npy").code == 0


def test_an_interrupt_before_the_first_batch_has_its_exit_code_too(command, monkeypatch):
    def interrupted(*arguments, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "open", interrupted)
    result = command()
    assert (result.code, "interrupted before the first batch" in result.error) == (130, True)


def test_a_full_disk_is_not_a_mistake(command, monkeypatch):
    def full(self, number, rows):
        raise OSError(28, "No space left on device: what is written stays valid", "a.zarr")

    monkeypatch.setattr(Loop, "_write", full)
    result = command()
    assert (result.code, result.crashed) == (1, None)
    assert "Error: No space left on device: what is written stays valid (a.zarr)" in result.error


def test_where_nobody_looks_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "PAUSE", 0.0)
    with _progress.shown(as_json=False) as tell:
        tell({"event": "batch", "done": 1200, "failed": 3, "left": 800, "rate": 212.44, "busy": 0.97})
        tell({"event": "failed", "path": "a.png", "reason": "truncated"})
        tell({"event": "note", "text": "begun with jax 0.10.1, now 0.10.2"})
    assert capsys.readouterr().err.splitlines() == [
        "1,203 of 2,003 done, 3 failed, 212.4 images/s, 3 s left, device busy 97%",
        "failed a.png: truncated",
        "note: begun with jax 0.10.1, now 0.10.2",
    ]


def test_on_a_terminal_one_bar_for_every_command(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes standard error for a terminal then
    monkeypatch.setenv("COLUMNS", "120")
    with _progress.shown(as_json=False) as tell:
        tell({"event": "batch", "done": 1200, "failed": 3, "left": 800, "rate": 212.44, "busy": 0.97})
        tell({"event": "failed", "path": "a.png", "reason": "truncated"})
    drawn = capsys.readouterr().err
    for words in (
        "1203/2003",
        "3 failed, 212.4 images/s, 3 s left, device busy 97%",
        "failed a.png: truncated",
    ):
        assert words in drawn
    with _terminal.bar("weights.pth", unit="bytes") as bar:
        bar.show(done=500_000, total=2_000_000)
    assert "0.5/2.0 MB" in capsys.readouterr().err


def test_times_are_short():
    assert [_terminal.duration(each) for each in (9.9, 230, 7500, 180_000)] == [
        "9 s",
        "3 min 50 s",
        "2 h 5 min",
        "2 days 2 h",
    ]


@pytest.mark.parametrize(
    ("busy", "fed", "limit"), [(9.0, 1.0, "device"), (2.0, 7.0, "decoding"), (2.0, 1.0, "writing")]
)
def test_what_is_the_limit(monkeypatch, busy, fed, limit):
    monkeypatch.setattr(Clock, "seconds", 10.0)
    assert Clock(busy=busy, fed=fed).limit() == limit


def test_what_is_missing_or_wrong(command, jaxcam_command, tmp_path, folder):
    bare = jaxcam_command("run", "--out", tmp_path / "b.zarr")
    assert (bare.code, "DATASET, --model and --weights are needed" in bare.error) == (2, True)
    absent = jaxcam_command("run", "--status", "--out", tmp_path / "b.zarr")
    assert (absent.code, "no store at" in absent.error) == (2, True)
    for arguments, message in {
        ("--target", "label", "--target", "3"): "target label stands alone",
        ("--target", "10"): "no class 10",
        ("--method", "gradcan"): "no method 'gradcan'; did you mean 'gradcam'",
        ("--devices", "99"): "--devices 99: there are",
        ("--processes", "2"): "--processes and --process go together",
        ("--layer", "layer5"): "no layer 'layer5'",
    }.items():
        result = command(*arguments)
        assert result.code == 2, result.text
        assert message in result.error
    assert not (tmp_path / "a.zarr").exists()


def test_labels_have_the_words_of_evaluate(command, tmp_path):
    for given in (("--target", "label"), ("--target-from", "label"), ("--target", "Label")):
        result = command(*given)
        assert result.code == 2
        assert "names a class to explain" in result.error
    assert "pass --target or --target-from" in command("--target", 3, "--target-from", "label").error
    assert "of a data set, label or predicted" in command("--target-from", "boxes").error
    assert not (tmp_path / "a.zarr").exists()
    assert command("--target-from", "predicted").code == 0
    assert command("--target", "predicted").code == 0
    assert datasets.open_store(tmp_path / "a.zarr").attributes["target"] == "top-1"
