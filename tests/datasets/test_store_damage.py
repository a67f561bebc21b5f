"""A damaged or missing chunk is named, and made again; old stores without checksums stay readable."""

import json
import shutil
import struct

import numpy as np
import pytest
from click.testing import CliRunner
from small_run import pictures, run

from jaxcam import cli, datasets
from jaxcam.datasets.store import _strings
from jaxcam.datasets.store._damage import spread


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "maps.zarr"
    run(pictures(), out)
    return out


@pytest.fixture
def out(tmp_path, undisturbed):
    return shutil.copytree(undisturbed, tmp_path / "a")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def spoil(out):
    """Damage of every kind: a bit of each sort of array, a chunk cut short, one that is missing."""
    (out / "maps/c/1/0/0").unlink()
    for name in ("path/c/2", "score/c/3", "status/c/4"):
        flip(out / name)
    (out / "digest/c/0/0").write_bytes(b"")
    return {
        (1, "maps", "missing"),
        (2, "path", "damaged"),
        (3, "score", "damaged"),
        (4, "status", "damaged"),
    } | {(0, "digest", "damaged")}


def test_every_chunk_is_checked(out):
    assert datasets.status(out, verify=True).damaged == []
    expected = spoil(out)
    found = datasets.status(out, verify=True)
    assert {tuple(each.values()) for each in found.damaged} == expected
    assert (found.done, found.left) == (9, 2)


def test_the_command_names_them_and_fails(out):
    flip(out / "path/c/2")
    result = CliRunner().invoke(cli.main, ["run", "--out", str(out), "--status", "--verify"])
    assert result.exit_code == 1
    assert "batch 2: the chunk of 'path' is damaged. Remove status/c/2 from the store" in result.output
    (out / "path/c/2").unlink()
    result = CliRunner().invoke(cli.main, ["run", "--out", str(out), "--status", "--verify", "--json"])
    assert json.loads(result.output)["damaged"] == [{"batch": 2, "array": "path", "reason": "missing"}]
    assert CliRunner().invoke(cli.main, ["run", "--out", str(out), "--verify"]).exit_code == 2


def test_a_run_makes_them_again_and_says_so(out, undisturbed):
    expected, events = spoil(out), []
    summary = run(pictures(), out, listeners=[events.append])
    assert (summary.done, summary.computed) == (11, 10)
    said = {each["text"] for each in events if each["event"] == "note"}
    assert said == {
        f"batch {b}: the chunk of {a!r} is {why}: the batch is made again" for b, a, why in expected
    }
    for path in undisturbed.rglob("c/**/*"):
        if path.is_file():
            assert (out / path.relative_to(undisturbed)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["maps/c/1/0/0", "path/c/2", "status/c/3"])
@pytest.mark.parametrize("spoiled", [flip, lambda path: path.unlink()], ids=["damaged", "missing"])
def test_a_report_names_it(out, tmp_path, name, spoiled):
    spoiled(out / name)
    if name.startswith("status") and not (out / name).exists():
        return  # the batch is not done
    array, _, batch = name.split("/")[:3]
    words = f"batch {batch}: the chunk of '{array}' is (damaged|missing)"
    with pytest.raises(ValueError, match=words):
        datasets.report(out, tmp_path / "r.html")


def test_reading_names_it(out):
    flip(out / "score/c/3")
    with pytest.raises(ValueError, match="is damaged: batch 3: the chunk of 'score' is damaged"):
        datasets.open_store(out).read("score")


def test_a_store_without_checksums_is_read_and_goes_on(tmp_path, undisturbed):
    """As stores were before: no checksum, no `note`, no word on the layer."""
    old = shutil.copytree(undisturbed, tmp_path / "old")
    group = json.loads((old / "zarr.json").read_text())
    del group["attributes"]["jaxcam"]["probe"], group["consolidated_metadata"]["metadata"]["note"]
    shutil.rmtree(old / "note")
    for name, about in group["consolidated_metadata"]["metadata"].items():
        assert about["codecs"].pop() == {"name": "crc32c"}
        (old / name / "zarr.json").write_text(json.dumps(about))
        for chunk in filter(lambda each: each.is_file(), (old / name / "c").rglob("*")):
            chunk.write_bytes(chunk.read_bytes()[:-4])
    (old / "zarr.json").write_text(json.dumps(group))
    assert datasets.status(old, verify=True).damaged == []
    datasets.report(old, tmp_path / "r.html")
    (old / "status/c/3").unlink()
    events = []
    assert run(pictures(), old, listeners=[events.append]).computed == 2
    assert [each["text"] for each in events if each["event"] == "note"] == [
        "the store is of an older jaxcam and does not say which layer its maps are of: taken to be blocks.0"
    ]
    assert list(datasets.open_store(old)["path"]) == list(datasets.open_store(undisturbed)["path"])
    assert (old / "path/c/3").read_bytes() == (undisturbed / "path/c/3").read_bytes()[:-4]


def test_the_checksum_is_castagnolis():
    assert _strings.crc32c(b"123456789") == 0xE3069283
    assert _strings.crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize(
    "chunk", [b"", b"\2\0\0\0", struct.pack("<III", 2, 1000, 0), struct.pack("<I", 2**31)]
)
def test_a_chunk_of_text_that_lies_is_refused(chunk):
    about = {"codecs": [{"name": "vlen-utf8"}]}
    with pytest.raises(ValueError, match=r"cut short|strings instead of 2"):
        _strings.decode(chunk, 2, about)


def test_spread():
    assert spread(range(1000), 5) == [0, 250, 500, 749, 999]
    assert spread([5, 3], 5) == [3, 5]
    assert spread(range(9), 1) == [0]
    assert spread(range(9), 0) == []


def test_the_other_side_reads_the_checksums(out):
    import zarr

    flip(out / "path/c/2")
    group = zarr.open_group(out, mode="r")
    assert list(group["error"][:]) == [""] * 11
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        group["path"][:]
    assert np.isfinite(group["maps"][:]).all()


LONG = "9" * 9000


def test_what_a_library_says_of_a_damaged_array_is_cut(out):
    group = out / "zarr.json"
    group.write_text(group.read_text().replace('"data_type": "int32"', f'"data_type": "in{LONG}"'))
    with pytest.raises(ValueError, match=r"is damaged: .*\.\.\. \(\d+ characters\)") as caught:
        datasets.open_store(out)["target"]
    assert len(str(caught.value)) < 1000
