"""Going on after an end of any kind: the store is what an undisturbed run makes, or the run is refused."""

import errno
import json
import os
import shutil
import signal
import socket
import time

import numpy as np
import pytest
from selection import exhaustive
from small_run import digests, finish, pictures, run, start

from jaxcam import datasets
from jaxcam.datasets.store._errors import cannot_write
from jaxcam.datasets.store._leftovers import belongs, sweep
from jaxcam.datasets.store._resume import open_or_create
from jaxcam.datasets.store._writer import Writer

COUNT = 40  # records, two a batch: more batches than a run has in flight


class Interrupted(Exception):
    pass


class Trap:
    """Pictures as a Python object with `len` and `[i]`, which acts when the tenth of them is asked for."""

    def __init__(self, act=lambda: None):
        self.items, self.act = pictures(COUNT), act

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        if i == 10:
            self.act()
        return self.items[i]


def interrupt(event):
    if event["event"] == "batch":
        raise Interrupted


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "maps.zarr"
    run(Trap(), out)
    return out


def files(out) -> dict[str, bytes]:
    """All that the store holds, but the log and the group, which hold times."""
    found = (path for path in out.rglob("*") if path.is_file())
    held = {path.relative_to(out).as_posix(): path.read_bytes() for path in found}
    return {name: text for name, text in held.items() if name not in ("log-0.jsonl", "zarr.json")}


def test_an_error_half_way_leaves_what_a_second_run_completes(tmp_path, undisturbed):
    out = tmp_path / "a"
    with pytest.raises(Interrupted):
        run(Trap(), out, listeners=[interrupt])
    before = datasets.status(out)
    assert 2 <= before.done < COUNT
    assert before.left == COUNT - before.done
    second = run(Trap(), out)
    assert second.computed == before.left
    assert files(out) == files(undisturbed)


def test_a_run_that_is_done_computes_nothing(tmp_path, undisturbed):
    out = shutil.copytree(undisturbed, tmp_path / "a")
    events = []
    summary = run(Trap(), out, listeners=[events.append])
    assert (summary.done, summary.computed, summary.limit) == (COUNT, 0, None)
    assert [each["event"] for each in events] == ["start", "end"]


@pytest.mark.parametrize("wanted", exhaustive([1, 5], lambda kills: kills > 1))
def test_kills_change_nothing(tmp_path, undisturbed, wanted):
    np.save(tmp_path / "pictures.npy", pictures(60))
    out, kills, done = tmp_path / "a", 0, 0
    delays = np.random.default_rng(0).uniform(0, 0.03, wanted)
    while kills < wanted:
        process = start(tmp_path / "pictures.npy", out, batch=1)
        while process.poll() is None and written(out) <= done:
            time.sleep(0.001)
        time.sleep(delays[kills])
        process.kill()
        process.communicate()
        kills, done = kills + 1, written(out)
        assert done < 60
    assert finish(start(tmp_path / "pictures.npy", out, batch=1))["computed"] == 60 - done
    run(tmp_path / "pictures.npy", tmp_path / "b", batch=1)
    assert digests(out) == digests(tmp_path / "b")
    assert files(out) == files(tmp_path / "b")


def written(out) -> int:
    folder = out / "status" / "c"
    return len([each for each in folder.iterdir() if each.name.isdecimal()]) if folder.is_dir() else 0


CHANGES = {
    "method": ({"method": "hirescam"}, "method: 'gradcam' there, 'hirescam' now"),
    "option": (
        {"method": "scorecam", "options": {"top": 4}},
        "options.top: nothing there, 4 now",
    ),
    "batch": ({"batch": 3}, "batch: 2 there, 3 now"),
    "target": ({"targets": 3}, "target: 'top-1' there, '3' now"),
    "dtype": ({"maps_dtype": "float16"}, "maps_dtype: 'float32' there, 'float16' now"),
    "model": ({"metadata": {"model": "b"}}, "model: nothing there, 'b' now"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_setting_is_refused_with_the_difference(undisturbed, case):
    options, message = CHANGES[case]
    with pytest.raises(ValueError, match="was made with other settings: .*" + message):
        run(Trap(), undisturbed, **options)


def test_other_parameters_and_another_data_set_are_refused(undisturbed):
    with pytest.raises(ValueError, match=r"source\.kind: 'sequence' there, .* 40 there, 12 now"):
        run(pictures(12), undisturbed)
    with pytest.raises(ValueError, match=r"parameters: '[0-9a-f]{8}"):
        run(Trap(), undisturbed, seed=1)


def test_another_place_of_the_same_pictures_is_not(tmp_path, undisturbed):
    np.save(tmp_path / "elsewhere.npy", pictures())
    np.save(tmp_path / "here.npy", pictures())
    run(tmp_path / "here.npy", tmp_path / "a")
    (tmp_path / "other").mkdir()
    (tmp_path / "here.npy").rename(tmp_path / "other" / "here.npy")
    assert run(tmp_path / "other" / "here.npy", tmp_path / "a").computed == 0


def test_what_is_not_a_store_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"is not a store and not empty: it holds 'notes\.txt'"):
        run(pictures(3), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(ValueError, match="was not made by `jaxcam run`"):
        run(pictures(3), tmp_path / "b")
    with pytest.raises(ValueError, match="no store at"):
        datasets.open_store(tmp_path / "c")


def test_a_store_that_was_killed_in_the_making_is_made(tmp_path, undisturbed):
    (tmp_path / "a" / "maps").mkdir(parents=True)
    (tmp_path / "a" / "maps" / "zarr.json").write_text("{")
    (tmp_path / "a" / "zarr.json.__lock").write_text("x" * 100_000)
    run(Trap(), tmp_path / "a")
    assert files(tmp_path / "a") == files(undisturbed)


def test_files_half_written_are_swept_where_they_are_to_be_written_again(tmp_path):
    names = ["maps/c/1/0/0", "maps/c/2/0/0", "path/c/1", "alive-0.json", "alive-1.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.__lock").touch()
    assert sweep(str(tmp_path), belongs([1], 0)) == 3
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"maps/c/2/0/0.__lock", "alive-1.json.__lock"}


def test_a_full_disk_is_told_and_what_is_written_stays_valid(tmp_path, monkeypatch, undisturbed):
    write, wrote = Writer._write, []

    def full(self, name, number, rows):
        if number >= 3:
            raise ValueError(f"Error writing \"x\": {os.strerror(errno.ENOSPC)} [os_error_code='28']")
        wrote.append(name)
        return write(self, name, number, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_write", full)
        with pytest.raises(OSError, match="No space left on device: what is written stays valid") as caught:
            run(Trap(), tmp_path / "a")
    assert caught.value.errno == errno.ENOSPC
    assert wrote
    assert datasets.status(tmp_path / "a").done == 6
    run(Trap(), tmp_path / "a")
    assert files(tmp_path / "a") == files(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_what_is_in_flight(tmp_path, number, undisturbed, capfd):
    out = tmp_path / "a"
    before = signal.getsignal(number)
    with pytest.raises(datasets.Stopped) as caught:
        run(Trap(lambda: os.kill(os.getpid(), number)), out)
    assert signal.getsignal(number) is before
    assert caught.value.signal == number
    assert "stopping when the batches in flight are written" in capfd.readouterr().err
    log = [json.loads(line) for line in (out / "log-0.jsonl").read_text().splitlines()]
    assert log[-1]["event"] == "stop"
    assert 0 < datasets.status(out).left < COUNT
    run(Trap(), out)
    assert files(out) == files(undisturbed)


def test_two_runs_at_once_are_refused(tmp_path, undisturbed):
    out = shutil.copytree(undisturbed, tmp_path / "a")
    sign = {"pid": os.getppid(), "host": socket.gethostname(), "time": time.time(), "processes": 1}
    (out / "alive-0.json").write_text(json.dumps(sign))
    assert [each["pid"] for each in datasets.status(out).alive] == [os.getppid()]
    with pytest.raises(ValueError, match=f"another run is writing to .*: process {os.getppid()} on"):
        run(Trap(), out)
    (out / "alive-0.json").write_text(json.dumps(sign | {"host": "elsewhere"}))
    with pytest.raises(ValueError, match=r"on elsewhere .* if it was killed, wait \d+ s"):
        run(Trap(), out, process=1, processes=2)
    for gone in ({"time": time.time() - 100}, {"pid": 2**22 + 1}):
        (out / "alive-0.json").write_text(json.dumps(sign | gone))
        assert datasets.status(out).alive == []
    assert run(Trap(), out).computed == 0
    assert not (out / "alive-0.json").exists()


def test_a_sign_of_the_same_process_number_is_of_before_a_restart(tmp_path, undisturbed):
    """A container that is started again runs under the number it had, often 1, and the host's name it had."""
    out = shutil.copytree(undisturbed, tmp_path / "a")
    sign = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time(), "processes": 1}
    (out / "alive-0.json").write_text(json.dumps(sign))
    assert run(Trap(), out).computed == 0


def test_what_is_in_the_way_of_a_store_is_named(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "a.zarr"):
        with pytest.raises(ValueError, match=r"is not a store, which is a folder: .*file' is a file"):
            run(Trap(), out)
    with (
        pytest.raises(OSError, match="Read-only file system") as caught,
        cannot_write("a.zarr"),
    ):
        raise ValueError("PERMISSION_DENIED: Failed to create directory: \"a\\x00b\" [os_error_code='30']")
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, "a.zarr")


def test_a_process_that_waits_in_vain_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"no store at .* after 0 s: does process 0 run\?"):
        open_or_create(str(tmp_path / "a"), [], {}, batch=1, wait=True, patience=0.0)


def test_a_log_line_that_a_kill_cut_short_is_left_out(tmp_path, undisturbed):
    out = shutil.copytree(undisturbed, tmp_path / "a")
    with (out / "log-0.jsonl").open("a") as file:
        file.write('{"event": "bat')
    assert datasets.status(out).last[0]["event"] == "end"
    run(Trap(), out)
    lines = (out / "log-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines if line != '{"event": "bat'][-2:] == ["start", "end"]
