"""What a report reads of stores: rows, small maps, figures."""

import numpy as np
import pytest
import zarr
from made_store import make_pictures, make_store, write_store

from jaxcam import display
from jaxcam.datasets.reports._data import histogram, mean, scan
from jaxcam.datasets.reports._maps import agreement, entropy, fit, shrink
from jaxcam.datasets.reports._rows import match, names
from jaxcam.datasets.store._columns import DONE, FAILED
from jaxcam.datasets.store._foreign import open_foreign


@pytest.fixture
def small(tmp_path):
    """(maps, **given) -> a store of these maps; four classes."""

    def make(maps, *, paths=None, name="small.zarr", method="gradcam", **given):
        count = len(maps)
        logits = np.random.default_rng(1).normal(size=(count, 4))
        paths = [f"{i}.png" for i in range(count)] if paths is None else paths
        about = {"method": method, **given.pop("about", {})}
        return open_foreign(
            write_store(tmp_path / name, maps, paths, logits=logits, about=about, batch=4, **given)
        )

    return make


def random_maps(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def test_shrinking_takes_means_over_areas():
    maps = random_maps(3, 8, 12)
    blocks = maps.reshape(3, 4, 2, 6, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(shrink(maps, 6), blocks, atol=1e-6)
    assert shrink(maps, 12) is maps
    # by hand: three pixels into two cells share the middle one
    np.testing.assert_allclose(fit(np.array([[0.0, 3.0, 6.0]]), (1, 2)), [[1, 5]], atol=1e-6)
    assert fit(maps, (5, 7)).mean() == pytest.approx(maps.mean(), abs=1e-6)


def test_entropy_of_a_map():
    one, half = np.zeros((2, 4, 4))
    one[1, 2], half[:2] = 1, 0.3
    found = entropy(np.stack([one, half, np.full((4, 4), 0.2), np.zeros((4, 4))]))
    np.testing.assert_allclose(found, [0, np.log(8) / np.log(16), 1, np.nan], atol=1e-6)


def test_agreement_is_the_correlation():
    one, other = (255 * random_maps(2, 6, 6)).astype(np.uint8)
    assert agreement(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1], abs=1e-6)
    assert agreement(one, 255 - one) == pytest.approx(-1)
    assert agreement(one, np.kron(one, np.ones((2, 2)))) == pytest.approx(
        1
    )  # the finer brought to the coarser
    assert np.isnan(agreement(one, np.zeros_like(one)))


def test_mean_and_histogram_leave_out_what_is_not_finite():
    column = np.array([1, 2, 3, 6, np.nan, np.inf])
    assert mean(column) == (3, pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2), 4)
    assert mean(np.array([np.nan])) is None
    found = histogram(column, np.array([0, 1, np.nan, 0, 0, 0]))
    assert (found["low"], found["high"]) == (1, 6)
    assert sum(found["counts"]) == 4
    assert sum(found["wrong"]) == 2
    assert found["wrong"][0] == found["wrong"][-1] == 1
    assert histogram(np.array([np.nan]), None) is None


def test_a_scan_against_numpy(small):
    maps = random_maps(10, 8, 8)
    maps[3, 2, 2] = np.nan
    status = np.array([1, 1, 2, 1, 1, 1, 0, 0, 1, 1], np.uint8)
    label = np.array([0, 1, 2, 3, 0, 1, -1, 3, 0, -1])
    target = np.array([0, 0, 1, 1, 0, 2, 2, 0, 1, 0], np.int32)
    extra = {
        "drop": np.arange(10, dtype=np.float32),
        "count": np.arange(10),
        "wide": np.zeros((10, 7), np.float32),
    }
    errors = ["", "", "is empty", *[""] * 7]
    store = small(maps, status=status, label=label, target=target, extra=extra, errors=errors)
    found = scan(store, keep=[1, 2, 9], edge=4)
    done = status == DONE
    shrunk = np.nan_to_num(maps).reshape(10, 4, 2, 4, 2).mean(axis=(2, 4))
    assert sorted(found.maps) == [1, 9]
    np.testing.assert_allclose(found.maps[9][0] / 255, shrunk[9], atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(np.isfinite(found.columns["entropy"][:, 0]), done)
    assert found.values == ["score", "probability", "entropy", "drop"]
    assert found.errors == {2: "is empty"}
    figures = found.figures()
    assert (figures["total"], figures["done"], figures["failed"]) == (10, 7, 1)
    assert figures["means"]["drop"][0] == pytest.approx(np.arange(10)[done].mean())
    known = done & (label >= 0)
    assert figures["accuracy"][0] == pytest.approx((store.read("predicted") == label)[known].mean())
    means = found.mean_maps()
    assert [(each, count) for each, count, _ in means["classes"]] == [
        (0, 4),
        (1, 2),
    ]  # of one map there is no mean
    chosen = done & (target == 0)
    of_class = np.frombuffer(means["classes"][0][2], np.uint8).reshape(means["size"])
    np.testing.assert_allclose(of_class / 255, shrunk[chosen].mean(axis=0), atol=0.5 / 255 + 1e-6)
    overall = np.frombuffer(means["all"], np.uint8).reshape(means["size"])
    np.testing.assert_allclose(overall / 255, shrunk[done].mean(axis=0), atol=0.5 / 255 + 1e-6)


def test_raw_maps_are_shown_as_display_shows_them(small):
    raw = np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype(np.float32)
    target = np.tile([0, 3], (5, 1))
    found = scan(small(raw, target=target, about={"stored": "raw"}), keep=[4], edge=28)
    np.testing.assert_allclose(found.maps[4] / 255, display(raw[4]), atol=0.5 / 255 + 1e-6)
    assert found.columns["score"].shape == (5, 2)
    assert found.counts == {0: 5, 3: 5}


def test_records_match_by_path(small):
    one = small(random_maps(5, 2, 2), paths=["a", "b", "b", "", "c"])
    other = small(random_maps(4, 2, 2), paths=["c", "b", "d", "b"], name="other.zarr")
    paths, table = match([one, other])
    assert paths == ["a", "b", "b", "c", "d"]
    np.testing.assert_array_equal(table, [[0, 1, 2, 4, -1], [-1, 1, 3, 0, 2]])


def test_stores_are_told_apart_in_few_words(small):
    def called(*abouts):
        stores = [
            small(random_maps(2, 2, 2), name=f"{number}.zarr", about=about)
            for number, about in enumerate(abouts)
        ]
        return names([scan(store, keep=[], edge=2) for store in stores])

    assert called({"method": "gradcam"}, {"method": "layercam"}) == ["gradcam", "layercam"]
    assert called({"model": "vgg16"}, {"model": "alexnet"}) == ["gradcam vgg16", "gradcam alexnet"]
    assert called({}, {}) == ["0", "1"]


def test_text_is_what_zarr_reads(tmp_path):
    paths = make_pictures(tmp_path / "pictures", 7)
    where = make_store(
        tmp_path / "maps.zarr", tmp_path / "pictures", paths, method="gradcam", seed=0, batch=3
    )
    store = open_foreign(where)
    assert store.paths == paths == zarr.open_group(where, mode="r")["path"][:].tolist()
    assert store["error"].tolist() == [""] * 7
    assert (store.records, store.batch) == (7, 3)
    for chunk in (where / "path" / "c").iterdir():
        if chunk.name == "1":
            chunk.unlink()  # not written yet
    assert open_foreign(where).paths == [*paths[:3], "", "", "", paths[6]]
    assert open_foreign(where.as_uri()).attributes["method"] == "gradcam"


def test_what_is_not_a_store(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no store of maps at .*nothing\.zarr"):
        open_foreign(tmp_path / "nothing.zarr")
    group = zarr.open_group(tmp_path / "other.zarr", mode="w", zarr_format=3)
    with pytest.raises(ValueError, match="attributes do not name jaxcam"):
        open_foreign(tmp_path / "other.zarr")
    group.attrs["jaxcam"] = {}
    group.create_array("map", shape=(2, 3, 3), dtype="float32")
    with pytest.raises(ValueError, match="no array 'maps'; did you mean 'map'"):
        open_foreign(tmp_path / "other.zarr")


def test_text_that_is_packed_otherwise(tmp_path, small):
    store = small(random_maps(2, 2, 2))
    zarr.open_group(store.location, mode="a").create_array("packed", shape=(2,), chunks=(2,), dtype=str)
    with pytest.raises(
        ValueError, match=r"'packed' .* not an array of plain strings: \['vlen-utf8', 'zstd'\]"
    ):
        open_foreign(store.location).read("packed")
    assert FAILED == 2
