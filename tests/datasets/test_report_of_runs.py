"""Reports of stores that `jaxcam run` wrote, from sources of several kinds."""

import base64
import io
import json
import re

import numpy as np
import pytest
from made_store import make_pictures
from nets import small
from PIL import Image

from jaxcam import datasets
from jaxcam.models._preprocess import Preprocess

SIDE = 12


def page_of(tmp_path, source, **options) -> tuple[dict, list]:
    """Runs over the source, writes the report, and gives what the page knows and its records."""
    preprocess = Preprocess(resize=SIDE, size=SIDE)
    datasets.run(source, small(seed=0), out=tmp_path / "maps.zarr", preprocess=preprocess, batch=2, **options)
    datasets.report(tmp_path / "maps.zarr", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    found = dict(re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', text))
    return json.loads(found["about"]), json.loads(found["block-0"])


def picture(record) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(record[0]))).convert("RGB")).astype(float)


def test_of_a_folder_with_a_bad_record(tmp_path):
    names = make_pictures(tmp_path / "pictures", 6)
    (tmp_path / "pictures" / "a" / "bad.png").write_bytes(b"")
    about, records = page_of(tmp_path, tmp_path / "pictures", targets="top-2", crop=False)
    assert sorted(about["paths"]) == sorted([*names, "a/bad.png"])
    bad = about["paths"].index("a/bad.png")
    (store,) = about["stores"]
    assert store["errors"] == {str(bad): "is empty"}
    assert store["figures"]["done"] == 6
    assert len(store["target"]) == 2
    assert [record[1] for record in records if record[1]] == ["picture not readable: is empty"]
    stored = datasets.open_store(tmp_path / "maps.zarr")
    np.testing.assert_allclose(store["values"]["score"][1][0], stored["score"][0, 1], rtol=1e-4)
    assert records[0][2][0] is not None
    assert len(records[0][2][0]) == 2


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_of_an_array(tmp_path, kind):
    coarse = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 3), np.uint8)
    pixels = np.kron(coarse, np.ones((1, 6, 6, 1))).astype(np.uint8)
    preprocess = Preprocess(resize=SIDE, size=SIDE)
    array = pixels if kind == "uint8" else np.stack([preprocess(each) for each in pixels])
    np.save(tmp_path / "pictures.npy", array)
    about, records = page_of(tmp_path, tmp_path / "pictures.npy")
    assert about["paths"][3] == "pictures.npy[3]"
    for record, truth in zip(records, pixels, strict=True):
        assert record[1] == ""
        # the colours of the corners, where WebP does not mix them
        np.testing.assert_allclose(
            picture(record)[[2, 2, 9, 9], [2, 9, 2, 9]], truth[[0, 0, 11, 11], [0, 11, 0, 11]], atol=40
        )
    np.save(tmp_path / "pictures.npy", array[:3])
    datasets.report(tmp_path / "maps.zarr", tmp_path / "report.html")
    assert "has other records now" in (tmp_path / "report.html").read_text("utf-8")


def test_of_an_object_that_is_gone(tmp_path):
    items = [np.full((SIDE, SIDE, 3), each, np.uint8) for each in (0, 90, 180)]
    _, records = page_of(tmp_path, items)
    assert {record[1] for record in records} == {
        "no picture: the source cannot be read again: it was a Python object"
    }
    assert all(record[0] is None and record[2][0] for record in records)
