"""Stores of a stranger's making, and damaged ones: what a report embeds, and the errors of all that reads them."""

import json
import shutil

import numpy as np
import pytest
from made_store import make_pictures, make_store
from PIL import Image

from jaxcam.datasets import report
from jaxcam.datasets.reports._pictures import Pictures
from jaxcam.datasets.store._foreign import open_foreign


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with `pictures`, their store, and `secret.png` beside them."""
    folder = tmp_path_factory.mktemp("foreign")
    paths = make_pictures(folder / "pictures", 6)
    make_store(folder / "store.zarr", folder / "pictures", paths, method="gradcam", seed=1)
    Image.new("RGB", (9, 9), "red").save(folder / "secret.png")
    return folder


def opened(made, tmp_path, path, **source):
    """The store with `path` as its first record's."""
    paths = [path, *open_foreign(made / "store.zarr").paths[1:]]
    given = (
        {"about": {"source": {"kind": "folder", "location": str(made / "pictures")} | source}}
        if source
        else {}
    )
    digests = {"digests": [bytes(32)] * len(paths)}
    make_store(
        tmp_path / "crafted.zarr", made / "pictures", paths, method="gradcam", seed=1, **given, **digests
    )
    return open_foreign(tmp_path / "crafted.zarr")


@pytest.mark.parametrize("kind", ["folder", "manifest"])
@pytest.mark.parametrize("path", ["../secret.png", "{}/secret.png", "a/../../secret.png"])
def test_pictures_outside_of_the_source_are_left_out(made, tmp_path, kind, path):
    location = made / "pictures" if kind == "folder" else made / "pictures" / "list.csv"
    store = opened(made, tmp_path, path.format(made), kind=kind, location=str(location))
    seen = Pictures(store).see(0)
    assert seen.view is None
    assert "lies outside of" in seen.note
    assert "pass pictures= to allow its folder" in seen.note
    assert Pictures(store).see(1).view is not None


def test_links_out_of_the_source_are_left_out(made, tmp_path):
    link = made / "pictures" / "link.png"
    link.symlink_to(made / "secret.png")
    store = opened(made, tmp_path, "link.png")
    assert "lies outside of" in Pictures(store).see(0).note
    assert Pictures(store, root=made / "pictures").see(0).view is None
    link.unlink()


def test_an_absolute_path_below_the_folder_that_the_user_names(made, tmp_path):
    store = opened(made, tmp_path, str(made / "secret.png"))
    assert Pictures(store, root=made / "pictures").see(0).view is None
    assert Pictures(store, root=made).see(0).view is not None


def damaged(made, tmp_path, name, change):
    shutil.copytree(made / "store.zarr", tmp_path / "damaged.zarr")
    file = tmp_path / "damaged.zarr" / name
    content = file.read_bytes()
    file.write_bytes(change(content))
    return tmp_path / "damaged.zarr"


def as_json(**changed):
    return lambda content: json.dumps(json.loads(content) | changed).encode()


DEEP = lambda content: b"[" * 100_000  # noqa: E731
CHUNKS = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12]}}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("zarr.json", DEEP),
        ("zarr.json", lambda content: b"[]"),
        ("zarr.json", lambda content: b"\xff\xfe"),
        ("zarr.json", as_json(attributes=[])),
        ("zarr.json", as_json(attributes={"jaxcam": []})),
        ("zarr.json", as_json(attributes={"jaxcam": {"method": ["x"]}})),
        ("zarr.json", as_json(attributes={"jaxcam": {"source": "here"}})),
        ("zarr.json", as_json(attributes={"jaxcam": {"classes": {"a": 1}}})),
        ("zarr.json", as_json(attributes={"jaxcam": {"preprocess": {"size": 10**9}}})),
        ("status/zarr.json", DEEP),
        ("status/zarr.json", as_json(shape=[10**15])),
        ("status/zarr.json", as_json(shape=[7])),
        ("status/zarr.json", as_json(shape=[])),
        ("status/zarr.json", as_json(**CHUNKS)),
        ("maps/zarr.json", as_json(shape=[6, 32])),
        ("target/zarr.json", as_json(data_type="float32")),
        ("path/zarr.json", as_json(shape=[10**15])),
        ("path/zarr.json", as_json(codecs=7)),
        ("path/c/0", lambda content: content[:9]),
        ("path/c/0", lambda content: b"\xff" * 8),
        ("maps/c/0/0/0", lambda content: content[:-9]),
    ],
)
def test_a_damaged_store(made, tmp_path, name, change):
    store = damaged(made, tmp_path, name, change)
    with pytest.raises(ValueError, match="damaged"):
        report(store, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "listed",
    [{"status": {"shape": [6]}}, {"maps": {"shape": [6, 9, 9]}}, {"path": {"data_type": "string"}}],
)
def test_a_group_that_lies_about_its_arrays(made, tmp_path, listed):
    group = json.loads((made / "store.zarr" / "zarr.json").read_text())
    group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": listed}
    store = shutil.copytree(made / "store.zarr", tmp_path / "a")
    (store / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(ValueError, match=rf"a': '{next(iter(listed))}' is damaged"):
        report(store, tmp_path / "report.html")


def test_own_mistakes_do_not_read_as_damage(made, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise LookupError("a mistake of ours")

    monkeypatch.setattr("jaxcam.datasets.reports._report.scan", broken)
    with pytest.raises(LookupError, match="a mistake of ours"):
        report(made / "store.zarr", tmp_path / "report.html")


def test_whole_stores_are_read(made, tmp_path):
    assert report(made / "store.zarr", tmp_path / "report.html").pictures == 6
    assert np.all(open_foreign(made / "store.zarr").read("status") == 1)
