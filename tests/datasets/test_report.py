"""The page of a report: its data, its pictures, its size."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import zarr
from made_store import CLASSES, ODD, label_of, make_pictures, make_store, write_store
from PIL import Image

from jaxcam.datasets import report
from jaxcam.models import preprocess

COUNT = 23


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def paths(root):
    return make_pictures(root, COUNT)


@pytest.fixture(scope="module")
def stores(root, paths, tmp_path_factory):
    """gradcam for all pictures, two of them failed; layercam for all but the first, in another order."""
    folder = tmp_path_factory.mktemp("stores")
    status, errors = np.ones(COUNT, np.uint8), [""] * COUNT
    status[[4, 9]], status[7] = 2, 0
    errors[4], errors[9] = "is empty", 'cannot </script> read "it"'
    one = make_store(
        folder / "one.zarr", root, paths, method="gradcam", seed=1, status=status, errors=errors, batch=8
    )
    other = make_store(folder / "two.zarr", root, paths[:0:-1], method="layercam", seed=2, batch=5)
    return one, other


class Page(HTMLParser):
    """The scripts of a page by id, its tags, and the addresses that it names."""

    def __init__(self, path):
        super().__init__()
        self.scripts, self.tags, self.addresses, self._open = {}, [], [], None
        self.text = path.read_text("utf-8")
        self.feed(self.text)
        self.about = json.loads(self.scripts["about"])
        names = sorted((name for name in self.scripts if name.startswith("block-")), key=lambda n: int(n[6:]))
        self.records = [record for name in names for record in json.loads(self.scripts[name])]

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "script":
            self._open = given.get("id", "code")
            self.scripts[self._open] = ""

    def handle_endtag(self, tag):
        self._open = None if tag == "script" else self._open

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] += data


@pytest.fixture(scope="module")
def page(stores, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    written = report(stores, out, title="Maps & <more>")
    assert (written.records, written.shown, written.pictures) == (COUNT, COUNT, COUNT)
    assert written.size == out.stat().st_size
    return Page(out)


def picture(record) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(record[0]))).convert("RGB"))


def test_a_page_is_complete_in_itself(page):
    assert page.addresses == ["data:,"]
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page.text)
    assert "default-src 'none'" in page.text
    assert "<title>Maps &amp; &lt;more&gt;</title>" in page.text
    assert "{title}" not in page.text


def test_what_users_write_cannot_leave_its_script(page, paths):
    assert list(page.scripts) == ["about", "block-0", "code"]
    assert page.tags.count("script") == 3
    assert page.tags.count("img") == 0
    assert page.about["paths"] == paths
    assert set(ODD) <= set(page.about["paths"])
    assert [page.about["classes"][str(index)] for index in range(4)] == CLASSES
    assert page.about["failures"][1] == [paths[9], 0, 'cannot </script> read "it"']


def test_rows_are_the_stores(page, stores, paths):
    one, other = page.about["stores"]
    assert [each["name"] for each in (one, other)] == ["gradcam", "layercam"]
    arrays = [zarr.open_group(store, mode="r") for store in stores]
    assert one["status"] == arrays[0]["status"][:].tolist()
    assert other["status"] == [3] + [1] * (COUNT - 1)  # the first is not in that store
    backwards = np.arange(COUNT - 2, -1, -1)
    for name in ("score", "probability", "drop"):
        done = arrays[0]["status"][:] == 1
        expected = np.where(done, arrays[0][name][:], np.nan)
        np.testing.assert_allclose(np.array(one["values"][name][0], float), expected, rtol=1e-4)
        np.testing.assert_allclose(other["values"][name][0][1:], arrays[1][name][:][backwards], rtol=1e-4)
    assert other["values"]["drop"][0][0] is None
    assert one["predicted"] == arrays[0]["predicted"][:].tolist()
    assert one["errors"] == {"4": "is empty", "9": 'cannot </script> read "it"'}
    assert page.about["label"] == [label_of(path) for path in paths]
    assert page.about["failed"] == 2
    assert "classes" not in one["about"]
    assert one["about"]["method"] == "gradcam"


def test_maps_are_the_stores(page, stores):
    maps = zarr.open_group(stores[1], mode="r")["maps"]
    height, width = page.about["stores"][1]["map"]
    assert (height, width) == (28, 28)
    for record in (1, COUNT - 1):
        cells = np.frombuffer(base64.b64decode(page.records[record][2][1][0]), np.uint8).reshape(28, 28)
        fine = np.kron(maps[COUNT - 1 - record].astype(np.float32), np.ones((7, 7)))  # 32 -> 224 -> 28
        expected = fine.reshape(28, 8, 28, 8).mean(axis=(1, 3))
        np.testing.assert_allclose(cells / 255, expected, atol=1 / 255)
    assert page.records[0][2][1] is None  # not in that store
    assert page.records[4][2][0] is None  # failed
    one, other = (np.frombuffer(base64.b64decode(page.records[1][2][s][0]), np.uint8) for s in (0, 1))
    assert page.about["agreement"][1] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-3)


def test_likely_classes_have_their_softmax(page, stores):
    group = zarr.open_group(stores[0], mode="r")
    classes, shares = zip(*page.records[2][3][0], strict=True)
    assert list(classes) == group["top_class"][2].tolist()
    odds = np.exp(group["top_logit"][2])  # of all four classes
    np.testing.assert_allclose(shares, odds / odds.sum(), atol=1e-4)


def test_a_picture_is_what_the_model_saw(page, root, paths):
    shown = picture(page.records[3])
    assert shown.shape == (60, 60, 3)  # squeezed, and no finer than the file
    seen = np.asarray(Image.open(root / paths[3]).resize((60, 60), Image.Resampling.BILINEAR))
    assert np.abs(shown.astype(float) - seen).mean() < 4
    assert np.abs(shown.astype(float) - picture(page.records[2])).mean() > 20


@pytest.mark.parametrize("fit", ["crop", "squeeze"])
def test_pictures_lie_under_their_maps(tmp_path, root, paths, fit):
    about = {"model": "squeezenet1_1", "fit": fit}
    store = make_store(tmp_path / "a.zarr", root, paths, method="gradcam", seed=0, about=about)
    report(store, tmp_path / "a.html")
    shown = Image.fromarray(picture(Page(tmp_path / "a.html").records[5]))
    seen = preprocess("squeezenet1_1").view(Image.open(root / paths[5]), crop=fit == "crop")
    resized = np.asarray(shown.resize((224, 224), Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(resized - seen).mean() < 8
    other = preprocess("squeezenet1_1").view(Image.open(root / paths[5]), crop=fit != "crop")
    assert np.abs(resized - other).mean() > 15


def test_a_picture_that_moved_changed_or_broke(tmp_path, paths, root, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    Image.new("RGB", (9, 9)).save(moved / paths[0])
    (moved / paths[1]).write_bytes(b"no picture")
    (moved / paths[2]).unlink()
    gone = {"source": {"kind": "folder", "location": str(tmp_path / "gone")}}
    store = make_store(tmp_path / "a.zarr", root, paths, method="gradcam", seed=0, about=gone)
    assert report(store, tmp_path / "a.html").pictures == 0
    page = Page(tmp_path / "a.html")
    assert {each[1] for each in page.records} == {f"no picture in {tmp_path / 'gone'}"}
    assert all(each[2][0] for each in page.records)  # the maps are there
    assert report(store, tmp_path / "a.html", pictures=moved).pictures == COUNT - 2
    records = Page(tmp_path / "a.html").records
    assert records[0][1] == "the picture has changed since the run"
    assert records[0][0]
    assert records[1][0] is None
    assert records[1][1].startswith(
        "picture not readable: not a picture, or not of a kind that is read: JPEG"
    )
    assert records[2][:2] == [None, f"no picture in {moved}"]
    assert records[3][1] == ""
    second = make_store(tmp_path / "b.zarr", root, paths[5:], method="layercam", seed=0)
    assert report([store, second], tmp_path / "a.html").pictures == COUNT - 5  # from the source that is there
    shutil.copy(root / paths[2], moved / "0002.png")  # flat, under its own name
    report(store, tmp_path / "a.html", pictures=moved)
    assert Page(tmp_path / "a.html").records[2][0]


def test_pictures_are_as_large_as_the_budget_allows(tmp_path, root, paths):
    large = tmp_path / "large"
    for path in paths:
        (large / path).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).resize((400, 400)).save(large / path)
    about = {"source": {"kind": "folder", "location": str(large)}}
    store = make_store(tmp_path / "a.zarr", large, paths, method="gradcam", seed=0, about=about)
    sides = []
    for budget in (14, 0.5, 0.2, 0.14):
        written = report(store, tmp_path / "a.html", budget=budget)
        assert written.size <= budget * 1e6
        assert written.pictures == COUNT
        sides.append(picture(Page(tmp_path / "a.html").records[0]).shape[0])
    assert sides[0] == 384
    assert sides == sorted(sides, reverse=True)
    assert len(set(sides)) == 4
    with pytest.raises(ValueError, match=r"the maps of 23 records take .* limit of about \d+"):
        report(store, tmp_path / "a.html", budget=0.08)
    with pytest.raises(ValueError, match=r"the page takes 0\.\d+ MB without pictures and maps"):
        report(store, tmp_path / "a.html", budget=0.05)
    assert Page(tmp_path / "a.html").about["records"] == COUNT  # the file is as it was


def test_a_limit_shows_records_from_all_over(tmp_path, stores, paths):
    written = report(stores, tmp_path / "a.html", limit=5)
    assert (written.records, written.shown, written.pictures) == (COUNT, 5, 5)
    page = Page(tmp_path / "a.html")
    assert page.about["paths"] == [paths[i] for i in (0, 6, 11, 16, 22)]
    assert len(page.records) == 5
    figures = page.about["stores"][0]["figures"]
    assert (figures["total"], figures["done"], figures["failed"]) == (COUNT, COUNT - 3, 2)
    assert len(page.about["failures"]) == 2


def test_several_targets(tmp_path, root, paths):
    maps = np.random.default_rng(0).uniform(size=(COUNT, 2, 7, 7)).astype(np.float16)
    maps[:, 0, 0, 0] = 1
    make_store(tmp_path / "one.zarr", root, paths, method="gradcam", seed=0)
    logits = np.random.default_rng(0).normal(size=(COUNT, 4))
    target = np.tile([2, 0], (COUNT, 1))
    store = write_store(
        tmp_path / "two.zarr",
        maps,
        paths,
        logits=logits,
        target=target,
        about={"method": "gradcam", "source": {"kind": "folder", "location": str(root)}},
    )
    report(store, tmp_path / "a.html")
    page = Page(tmp_path / "a.html")
    assert page.about["stores"][0]["target"] == [[2] * COUNT, [0] * COUNT]
    np.testing.assert_allclose(page.about["stores"][0]["values"]["score"][1], logits[:, 0], rtol=1e-4)
    cells = [np.frombuffer(base64.b64decode(each), np.uint8) for each in page.records[3][2][0]]
    np.testing.assert_allclose(cells, 255 * maps[3].reshape(2, 49).astype(float), atol=0.6)
    assert page.about["classes"] == {}


def test_arguments_that_are_wrong(tmp_path, stores, root, paths):
    out = tmp_path / "a.html"
    for wrong, words in (
        ({"stores": []}, "at least one store"),
        ({"limit": 0}, "at least 1; got 0"),
        ({"budget": 0}, "above 0; got 0"),
        ({"pictures": tmp_path / "nowhere"}, "no folder .*nowhere"),
    ):
        with pytest.raises(ValueError, match=words):
            report(**{"stores": stores, "out": out, **wrong})
    other = make_store(
        tmp_path / "b.zarr", root, paths, method="layercam", seed=0, about={"classes": ["a", "b"]}
    )
    with pytest.raises(ValueError, match="name their classes differently"):
        report([stores[0], other], out)
    blank = make_store(
        tmp_path / "c.zarr", root, paths, method="layercam", seed=0, status=np.zeros(COUNT, np.uint8)
    )
    shutil.rmtree(blank / "path" / "c")
    with pytest.raises(ValueError, match="holds no records yet"):
        report(blank, out)
    assert not out.exists()
