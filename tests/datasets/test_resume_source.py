"""What a run that goes on compares: the layer, the records, the store itself; and signs of life."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore as ts
from flax import nnx
from nets import Small
from PIL import Image
from small_run import SIDE, pictures, run

import jaxcam
from jaxcam import datasets
from jaxcam.datasets.running import _pulse
from jaxcam.datasets.running._identity import describe_probe, digest_of
from jaxcam.datasets.running._log import Log
from jaxcam.datasets.store._leftovers import sweep
from jaxcam.models._preprocess import Preprocess

SETTINGS = {"preprocess": Preprocess(resize=SIDE, size=SIDE), "batch": 2}


def folder(root, count=12):
    root.mkdir()
    for i, each in enumerate(pictures(count)):
        Image.fromarray(each).save(root / f"{i:02d}.bmp")  # of one size
    return root


def test_another_layer_of_the_same_size_is_refused(tmp_path):
    model = Small()
    out = tmp_path / "a"
    datasets.run(pictures(4), jaxcam.probe(model, "blocks.0.conv"), out=out, **SETTINGS)
    with pytest.raises(ValueError, match=r"probe\.layer: 'blocks\.0\.conv' there, 'blocks\.0' now"):
        datasets.run(pictures(4), jaxcam.probe(model, "blocks.0"), out=out, **SETTINGS)
    assert datasets.open_store(out).attributes["probe"]["kind"] == "nnx"


def test_tokens_options_and_functions_tell_probes_apart():
    def logits(images, mirrored=False):
        return jaxcam.tap(images, "pixels").mean(axis=(1, 2))

    def other(images):
        return jaxcam.tap(images, "pixels").max(axis=(1, 2))

    probes = [
        jaxcam.probe(logits, "pixels"),
        jaxcam.probe(logits, "pixels", tokens=1),
        jaxcam.probe(logits, "pixels", call={"mirrored": True}),
        jaxcam.probe(other, "pixels"),
        jaxcam.probe(split=(logits, other)),
        jaxcam.probe(split=(other, logits)),
    ]
    probes += [jaxcam.guided(probes[0]), jaxcam.guided(probes[-1])]
    told = [json.dumps(describe_probe(each)) for each in probes]
    assert len(set(told)) == len(told)
    assert not any("0x" in each for each in told)  # an address would differ in the next process


def test_random_generators_of_a_model_have_a_digest():
    """Of a dropout that is not active, and of one that the call gives: keys are not arrays of numbers."""

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x, rngs=None):
            return jnp.mean(self.drop(self.conv(x), rngs=rngs), axis=(1, 2))

    model = Net(nnx.Rngs(0))
    plain = jaxcam.probe(model, "conv")
    given = [jaxcam.probe(model, "conv", call={"rngs": nnx.Rngs(seed)}) for seed in (1, 2, 2)]
    one, two, same = [digest_of(each) for each in given]
    assert len({digest_of(plain), one, two}) == 3
    assert two == same


def test_swapped_files_are_seen(tmp_path):
    root, out = folder(tmp_path / "in"), tmp_path / "a"
    run(str(root), out)
    for a, b in (("03.bmp", "x"), ("07.bmp", "03.bmp"), ("x", "07.bmp")):
        (root / a).rename(root / b)
    with pytest.raises(ValueError, match=r"record 3 of .*'03\.bmp', has changed since it was explained"):
        run(str(root), out)


def test_of_many_records_those_whose_files_changed_are_compared_first(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcam.datasets.running._changed.FILES", 3)
    root, out = folder(tmp_path / "in"), tmp_path / "a"
    for each in root.iterdir():
        os.utime(each, (1e9, 1e9))
    run(str(root), out)
    group = json.loads((out / "zarr.json").read_text())
    group["attributes"]["jaxcam"]["started"] = "2100-01-01T00:00:00+00:00"
    (out / "zarr.json").write_text(json.dumps(group))
    Image.fromarray(pictures(1, seed=9)[0]).save(root / "04.bmp")
    assert run(str(root), out).computed == 0  # beyond what is compared, and the times say nothing
    os.utime(root / "04.bmp", (5e9, 5e9))
    with pytest.raises(ValueError, match=r"record 4 .* has changed"):
        run(str(root), out)
    events = []
    shutil.rmtree(root)
    folder(root)
    for each in root.iterdir():
        os.utime(each, (5e9, 5e9))
    run(str(root), out, listeners=[events.append])
    assert "12 records were changed after the run began" in events[1]["text"]


def test_pictures_of_an_array_that_were_replaced_are_seen(tmp_path):
    given = pictures(12)
    np.save(tmp_path / "p.npy", given)
    run(tmp_path / "p.npy", tmp_path / "a")
    given[1:6] = given[7:11].max()
    np.save(tmp_path / "p.npy", given)
    (tmp_path / "a" / "status" / "c" / "5").unlink()
    with pytest.raises(ValueError, match=r"record 1 of .*'p\.npy\[1\]', has changed"):
        run(tmp_path / "p.npy", tmp_path / "a")


def test_a_store_that_is_removed_ends_the_run(tmp_path):
    out = tmp_path / "a"

    def remove(event):
        if event["event"] == "batch" and out.exists():
            shutil.rmtree(out, ignore_errors=True)

    with pytest.raises(OSError, match="the store was removed or replaced while the run was writing"):
        run(pictures(40), out, listeners=[remove])


def test_others_may_add_to_the_group_while_a_run_writes(tmp_path):
    out = tmp_path / "a"

    def add(event):
        if event["event"] == "batch":
            group = json.loads((out / "zarr.json").read_text())
            group["attributes"]["note"] = "ours"
            (tmp_path / "new").write_text(json.dumps(group))
            (tmp_path / "new").replace(out / "zarr.json")

    assert run(pictures(8), out, listeners=[add]).done == 8


def test_batches_that_are_gone_at_the_end_are_missed(tmp_path):
    out = tmp_path / "a"

    def remove(event):
        if event["event"] == "batch" and event["left"] == 0:
            for each in (out / "status/c").iterdir():
                each.unlink(missing_ok=True)

    with pytest.raises(OSError, match="6 batches that were written are gone, 0 the first"):
        run(pictures(11), out, listeners=[remove])


def test_a_kill_between_the_groups_metadata_and_the_arrays_leaves_nothing_to_repair(tmp_path):
    out, whole = tmp_path / "a", tmp_path / "b"
    run(pictures(4), whole)
    out.mkdir()
    shutil.copy(whole / "zarr.json", out)
    assert datasets.status(out).left == 4
    run(pictures(4), out)
    for path in whole.rglob("zarr.json"):
        assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()


HOLD = """
import fcntl, os, sys
held = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_sweep_leaves_what_a_living_process_holds(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "dead.__lock").write_text("x")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "living.__lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert sweep(str(tmp_path), lambda name: True) == 1
        assert [each.name for each in tmp_path.iterdir()] == ["living.__lock"]
        process.communicate("")
    assert sweep(str(tmp_path), lambda name: True) == 1


def sign(**changes):
    own = {"host": socket.gethostname(), "time": time.time(), "processes": 1}
    return own | {"pid": os.getppid(), "began": _pulse._began(os.getppid())} | changes


@pytest.mark.parametrize(
    ("given", "alive"),
    [
        (sign(), True),
        (sign(time=time.time() + 3600), False),  # of a clock that was set back
        (sign(host="elsewhere", time=time.time() + 3600), False),
        (sign(host="elsewhere"), True),
        (sign(began="1"), sys.platform != "linux"),  # the number is another process's now
        (sign(began=None), True),
        (sign(pid=2**40), False),
        ({"time": "now"}, False),
        ([1], False),
    ],
)
def test_who_is_alive(given, alive):
    kv = ts.KvStore.open("memory://").result()
    if isinstance(given, dict) and given.get("time", 0) != "now" and given["time"] < time.time():
        given = given | {"time": time.time()}
    kv.write("alive-0.json", json.dumps(given).encode()).result()
    assert bool(_pulse.living(kv)) == alive


def test_no_sign_holds_for_longer_than_its_period(monkeypatch):
    now = time.time()
    monkeypatch.setattr(_pulse.time, "time", lambda: now)
    holds = [each for each in range(-4000, 4000) if _pulse._is_alive(sign(time=now + each))]
    assert max(holds) - min(holds) <= 60


def test_no_process_is_asked_with_a_signal_on_windows(monkeypatch):
    def kill(pid, number):
        raise AssertionError("os.kill ends the process on Windows")

    monkeypatch.setattr(_pulse.os, "kill", kill)
    monkeypatch.setattr(_pulse.os, "name", "nt")
    assert _pulse._runs(os.getppid(), None)


def test_of_two_that_claim_at_once_one_gets_it():
    kv = ts.KvStore.open("memory://").result()
    with _pulse.pulse(kv, "a", 0, 1):
        assert 0 in _pulse.living(kv)
        other = json.loads(kv.read("alive-0.json").result().value) | {"pid": os.getppid(), "began": None}
        kv.write("alive-0.json", json.dumps(other).encode()).result()
        for process, processes in ((0, 1), (1, 2)):
            with (
                pytest.raises(ValueError, match="another run is writing to 'a'"),
                _pulse.pulse(kv, "a", process, processes),
            ):
                pass
    assert _pulse.living(kv) == {}


class Refusing:
    """A bucket that takes no log."""

    def __init__(self, kv):
        self.kv = kv

    def read(self, key):
        return self.kv.read(key)

    def write(self, key, value):
        raise ValueError("PERMISSION_DENIED: 403")


def test_a_refused_line_of_the_log_is_lost_and_no_more(tmp_path):
    run(pictures(4), tmp_path / "a")
    store = datasets.open_store(tmp_path / "a")
    store.kv, store.location = Refusing(store.kv), "gs://bucket/a"
    log = Log(store, 0)
    log({"event": "start"})
