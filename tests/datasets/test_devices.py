"""Devices and processes share a data set: the store is the same, however many they are."""

import contextlib
import socket

import jax
import numpy as np
import pytest
from nets import small
from selection import exhaustive
from small_run import SIDE, digests, finish, pictures, run, start

from jaxcam import datasets
from jaxcam.cli._hosts import join
from jaxcam.datasets.running._plan import Plan
from jaxcam.datasets.running._program import Program
from jaxcam.targets._several import Top

COUNT = 37  # 19 batches of 2: neither 2 nor 8 devices nor 2 processes divide them


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "pictures.npy"
    np.save(path, pictures(COUNT))
    return path


@pytest.fixture(scope="module")
def one(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "maps.zarr"
    run(source, out)
    return out


def same(out, other, tolerance: float = 1e-6) -> None:
    """Equal to the tolerance, and each record there once."""
    a, b = datasets.open_store(out), datasets.open_store(other)
    assert (a["status"] == 1).all()
    for name in a.names:
        if a[name].dtype == np.float32:
            np.testing.assert_allclose(a[name], b[name], atol=tolerance, rtol=tolerance)
        else:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("devices", exhaustive([2, 8], lambda devices: devices != 2))
def test_several_devices_make_the_same_store(source, one, tmp_path, devices):
    summary = finish(start(source, tmp_path / "a", devices=devices))
    assert (summary["records"], summary["done"], summary["computed"]) == (COUNT, COUNT, COUNT)
    same(tmp_path / "a", one)


FEWER = {"clustercam": {"clusters": 3, "restarts": 2, "iterations": 4}}


# One of each kind: tests/every_device.py has all methods, on four devices.
KINDS = ("eigencam", "gradcam", "scorecam", "clustercam", "conceptorcam")


@pytest.mark.parametrize("method", exhaustive(KINDS, lambda method: method != "eigencam"))
def test_methods_on_two_devices(tmp_path, method):
    source = tmp_path / "pictures.npy"
    np.save(source, pictures(6))
    options = FEWER.get(method, {})
    run(source, tmp_path / "one", method=method, options=options, stored="raw")
    finish(start(source, tmp_path / "two", devices=2, method=method, options=options, stored="raw"))
    # k-means and the roots of conceptors enlarge rounding
    tolerance = 1e-5 if method in ("clustercam", "conceptorcam") else 1e-6
    same(tmp_path / "two", tmp_path / "one", tolerance)


def test_two_processes_make_the_same_store(source, one, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    hosts = [{"coordinator": coordinator, "processes": 2, "process": process} for process in (0, 1)]
    with contextlib.ExitStack() as ended:
        both = [start(source, tmp_path / "a", devices=2, hosts=each) for each in hosts]
        for each in both:
            ended.callback(each.kill)
        summaries = [finish(each) for each in both]
    assert [each["records"] for each in summaries] == [19, 18]
    assert sum(each["computed"] for each in summaries) == COUNT
    same(tmp_path / "a", one)
    assert [each["event"] for each in datasets.status(tmp_path / "a").last] == ["end", "end"]


def test_processes_need_not_meet(source, one, tmp_path):
    out = tmp_path / "a"
    first = run(source, out, process=0, processes=3)
    assert datasets.status(out).left == COUNT - first.records
    run(source, out, process=2, processes=3)
    last = run(source, out)  # one for all that is left
    assert (last.records, last.computed) == (COUNT, datasets.open_store(out).records - 13 - 12)
    assert digests(out) == digests(one)


def test_nothing_crosses_from_device_to_device():
    plan = Plan(
        targets=Top(1),
        stored="image",
        size=(SIDE, SIDE),
        maps_dtype="float32",
        logits=False,
    )
    request = plan.bind(small(), batch=2, method="gradcam", options={})
    text = Program(plan, request, jax.devices()[:1])._run.as_text()
    assert "HloModule" in text
    for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"):
        assert word not in text


HOSTS = {
    "no process": ({"processes": 2}, "--processes and --process go together"),
    "coordinator alone": ({"coordinator": "a:1"}, "--coordinator goes with --processes and --process"),
    "out of range": ({"processes": 2, "process": 2}, "--process is 0 to 1, for --processes 2; got 2"),
}


@pytest.mark.parametrize("case", HOSTS)
def test_a_part_of_the_numbers_is_refused(case):
    given, message = HOSTS[case]
    with pytest.raises(ValueError, match=message):
        join(**{"coordinator": None, "processes": None, "process": None, "distributed": False} | given)


def test_alone_or_told(monkeypatch):
    alone = {"coordinator": None, "processes": None, "process": None, "distributed": False}
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    assert join(**alone) == (0, 1)
    assert join(**alone | {"processes": 4, "process": 3}) == (3, 4)
