"""The feed: what a batch holds, and that it ends well however it ends."""

import contextlib
import errno
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from dataset_files import encoded, picture

from jaxcam import datasets, models
from jaxcam.datasets.running._feed import Batch, Failed, feed

PREPROCESS = models.preprocess("cifar_resnet20")
FLOATS = np.random.default_rng(1).normal(size=(32, 32, 3)).astype(np.float32)


def run(source, *, batch=4, indices=None, crop=True, workers=2, ahead=2):
    indices = range(-(-len(source) // batch)) if indices is None else indices
    return feed(
        source, PREPROCESS, batch=batch, indices_of_batches=indices, crop=crop, workers=workers, ahead=ahead
    )


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("feed")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


class Watched:
    """Ten pictures, that tell which were read and wait where they are told to."""

    def __init__(self, read=lambda i: None, length=10):
        self.read, self.length, self.lock, self.seen = read, length, threading.Lock(), []

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        with self.lock:
            self.seen.append(i)
        self.read(i)
        return picture(i), i


@pytest.mark.parametrize(("workers", "ahead", "batch"), [(1, 1, 4), (3, 2, 4), (2, 5, 1), (4, 1, 16)])
@pytest.mark.parametrize("crop", [True, False])
def test_batches_are_the_preprocessed_pictures_in_order(workers, ahead, batch, crop):
    source = datasets.open(Watched())
    batches = list(run(source, workers=workers, ahead=ahead, batch=batch, crop=crop))
    expected = [PREPROCESS(picture(i), crop=crop) for i in range(10)]
    for number, each in enumerate(batches):
        assert isinstance(each, Batch)
        assert each.start == number * batch
        assert each.images.shape == (batch, 32, 32, 3)
        assert each.images.dtype == np.float32
        there = len(each.records)
        np.testing.assert_array_equal(each.images[:there], expected[each.start : each.start + there])
        assert not each.images[there:].any()
    records = [record for each in batches for record in each.records]
    assert [record.label for record in records] == list(range(10))
    assert all(record.picture is None for record in records)
    assert [record.path for record in records] == [f"Watched[{i}]" for i in range(10)]
    assert all(len(record.digest) == 32 for record in records)


def test_the_batches_that_are_asked_for_in_their_order():
    batches = list(run(datasets.open(Watched()), indices=[2, 0]))
    assert [(each.start, len(each.records)) for each in batches] == [(8, 2), (0, 4)]
    assert list(run(datasets.open(Watched()), indices=[])) == []


def test_a_slow_record_holds_nothing_out_of_order():
    source = datasets.open(Watched(lambda i: time.sleep(0.05 * (i % 4 == 0))))
    records = [record for each in run(source, workers=4) for record in each.records]
    assert [record.label for record in records] == list(range(10))


def test_bad_records_are_rows_of_zeros():
    nan, infinite = FLOATS.copy(), FLOATS.copy()
    nan[3, 4, 1], infinite[0, 0, 0] = np.nan, -np.inf
    items = [FLOATS, nan, b"none", picture(3), infinite, FLOATS[:8], None, picture(7)]
    good, bad = {0, 3, 7}, {}
    for each in run(datasets.open(items)):
        for i, record in enumerate(each.records, start=each.start):
            if isinstance(record, Failed):
                bad[i] = record
                assert not each.images[i - each.start].any()
            else:
                expected = FLOATS if i == 0 else PREPROCESS(picture(i))
                np.testing.assert_array_equal(each.images[i - each.start], expected)
    assert set(bad) == set(range(8)) - good
    assert bad[1].reason == bad[4].reason == "holds values that are not finite (NaN or infinity)"
    assert bad[2].reason.startswith("not a picture, or not of a kind that is read: JPEG")
    assert bad[5].reason == "floats are taken as they are: the model wants (32, 32, 3), got (8, 32, 3)"
    assert bad[6].reason.startswith("TypeError: a record is a picture")
    assert [len(bad[i].digest) for i in sorted(bad)] == [32, 32, 32, 32, 0]
    assert [bad[i].path for i in sorted(bad)] == [f"list[{i}]" for i in sorted(bad)]


def test_a_picture_too_long_to_be_resized_is_a_bad_record():
    long = np.zeros((1, 60_000, 3), np.uint8)
    prepare = models.preprocess("resnet50")
    (batch,) = feed(
        datasets.open([long, picture(1)]),
        prepare,
        batch=2,
        indices_of_batches=[0],
        crop=True,
        workers=1,
        ahead=1,
    )
    assert batch.records[0].reason.startswith("too long for its width: 60000x1")
    np.testing.assert_array_equal(batch.images[1], prepare(picture(1)))


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_no_more_than_ahead_batches_are_begun(ahead):
    items = Watched(length=40)
    batches = run(datasets.open(items), ahead=ahead, workers=4)
    for count in range(1, 5):
        next(batches)
        begun = 4 * (count + ahead - 1)
        until = time.monotonic() + 30
        while len(items.seen) < begun and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.02)
        assert len(items.seen) == begun
    batches.close()


def test_nothing_is_held_of_what_was_handed_out():
    import weakref

    batches = run(datasets.open(Watched(length=40)), ahead=2)
    held = [weakref.ref(each.images) for each in itertools.islice(batches, 6)]
    gc.collect()
    assert sum(each() is not None for each in held) <= 1
    batches.close()


def consume_badly(batches):
    with contextlib.closing(batches):
        for _ in batches:
            raise ZeroDivisionError


@pytest.mark.parametrize("ending", ["close", "leave", "raise", "forget"])
def test_the_consumer_may_stop_at_any_time(ending):
    items = Watched(lambda i: time.sleep(0.01), length=1000)
    batches = run(datasets.open(items), ahead=20, workers=3)
    next(batches)
    assert len(threads()) == 3
    if ending == "close":
        batches.close()
    elif ending == "raise":
        with pytest.raises(ZeroDivisionError):
            consume_badly(batches)
    elif ending == "leave":
        for _ in batches:
            break
        del batches, _
    else:
        del batches
    gc.collect()
    assert threads() == []
    seen = len(items.seen)
    assert seen < 40  # of the 80 that were waiting
    time.sleep(0.05)
    assert len(items.seen) == seen


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), KeyboardInterrupt()])
def test_what_is_not_a_bad_record_ends_the_feed(error):
    def read(i):
        if i == 5:
            raise error

    items = Watched(read, length=1000)
    batches = run(datasets.open(items), ahead=3)
    assert next(batches).start == 0
    with pytest.raises(type(error)) as caught:
        list(batches)
    assert caught.value is error
    assert len(items.seen) < 24


def test_a_batch_that_does_not_exist():
    batches = run(datasets.open(Watched()), indices=[2, 3], ahead=1)
    assert next(batches).start == 8
    with pytest.raises(IndexError, match="no batch 3: 10 records make 3"):
        next(batches)


@pytest.mark.parametrize("name", ["batch", "workers", "ahead"])
def test_mistakes_are_told_at_once(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        run(datasets.open(Watched()), **{name: 0}, **({} if name != "batch" else {"indices": [0]}))


SCRIPT = """
import signal, sys, time
import numpy as np
from jaxcam import datasets, models
from jaxcam.datasets.running._feed import feed

class Slow:
    def __len__(self): return 100_000
    def __getitem__(self, i):
        time.sleep(0.1)
        return np.zeros((8, 8, 3), np.uint8)

batches = feed(datasets.open(Slow()), models.preprocess("cifar_resnet20"), batch=4,
               indices_of_batches=range(25_000), crop=True, workers=4, ahead=int(sys.argv[2]))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
next(batches)
print("begun", flush=True)
if sys.argv[1] == "exit":
    sys.exit(3)
for each in batches:
    pass
"""


@pytest.mark.parametrize(("how", "code", "ahead"), [("exit", 3, 5), ("interrupt", -signal.SIGINT, 1000)])
def test_a_process_ends_while_much_is_waiting(how, code, ahead, tmp_path):
    """It stays for what is being read; without a close, for the `ahead` batches: a tenth of a second each."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", how, str(ahead)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "begun\n"
    began = time.monotonic()
    if how == "interrupt":
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert ("KeyboardInterrupt" in error) == (how == "interrupt")
    assert time.monotonic() - began < 50  # of the 100 that reading all would take


def test_files_and_floats_alike(tmp_path):
    """The same pictures from a folder and as arrays make the same batches."""
    for seed in range(5):
        (tmp_path / f"{seed}.png").write_bytes(encoded(seed))
    arrays = np.stack([np.asarray(picture(seed)) for seed in range(5)])
    floats = np.stack([PREPROCESS(picture(seed)) for seed in range(5)])
    found = [
        np.concatenate([each.images for each in run(datasets.open(what))])
        for what in (tmp_path, arrays, floats)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("kind", ["zarr", "array_record"])
def test_many_threads_read_one_file(tmp_path, kind):
    module = pytest.importorskip("zarr" if kind == "zarr" else "array_record.python.array_record_module")
    path = tmp_path / f"set.{kind}"
    if kind == "zarr":
        pictures = np.stack([np.asarray(picture(seed)) for seed in range(40)])
        module.create_array(path, data=pictures, chunks=(3, *pictures.shape[1:]))
    else:
        writer = module.ArrayRecordWriter(str(path), "group_size:1")
        for seed in range(40):
            writer.write(encoded(seed))
        writer.close()
    images = np.concatenate([each.images for each in run(datasets.open(path), workers=8, ahead=5)])
    np.testing.assert_array_equal(images, [PREPROCESS(picture(seed)) for seed in range(40)])
