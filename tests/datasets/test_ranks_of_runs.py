"""Runs, stores and reports of signals and volumes, from arrays that are taken as they are."""

import numpy as np
import pytest
from ranks import batch, net

import jaxcam
from jaxcam import datasets
from jaxcam.datasets.reports._data import scan
from jaxcam.datasets.reports._flat import CURVE, aspect, drawn, flat
from jaxcam.datasets.store._foreign import open_foreign


def run(source, out, rank, **options):
    given = {"preprocess": None, "targets": "top-2", "batch": 2, "maps_dtype": "float32"}
    return datasets.run(source, net(rank), out=str(out), **given | options)


@pytest.fixture(scope="module", params=[1, 3])
def made(request, tmp_path_factory):
    """A rank, records, and a store of them in a folder, with one record that cannot be explained."""
    folder, rank = tmp_path_factory.mktemp("made"), request.param
    records = batch(rank, count=5)
    records[3].flat[0] = np.nan
    np.save(folder / "records.npy", records)
    run(folder / "records.npy", folder / "store", rank, metrics=("complexity",))
    return rank, records, folder


def test_a_store_holds_what_explain_returns(made):
    rank, records, folder = made
    store = datasets.open_store(folder / "store")
    good = np.array([0, 1, 2, 4])
    maps = jaxcam.explain(net(rank), records[good], jaxcam.top(2), method="gradcam")
    assert store["maps"].shape == (5, 2, *records.shape[1:-1])
    np.testing.assert_allclose(store["maps"][good], maps, atol=1e-6)
    inner = tuple(range(2, maps.ndim))
    np.testing.assert_allclose(store["complexity"][good], np.mean(maps, axis=inner), rtol=1e-5)
    assert store["error"][3] == "holds values that are not finite (NaN or infinity)"
    assert store.rank == rank
    names = store.about("maps")["dimension_names"]
    assert names[-rank:] == ["z", "y", "x"][-rank:]


def test_a_run_goes_on_and_says_what_differs(made):
    rank, records, folder = made
    again = run(folder / "records.npy", folder / "store", rank, metrics=("complexity",))
    assert (again.computed, again.done, again.failed) == (0, 4, 1)
    (folder / "other").mkdir()
    np.save(folder / "other" / "records.npy", records[:, :4])
    with pytest.raises(ValueError, match=r"size: .* there"):
        run(folder / "other" / "records.npy", folder / "store", rank, metrics=("complexity",))


def test_a_report_draws_records_under_their_maps(made):
    rank, records, folder = made
    written = datasets.report(folder / "store", folder / "report.html")
    assert (written.shown, written.pictures, written.lost) == (5, 4, 0)
    store = open_foreign(folder / "store")
    found = scan(store, keep=[0], edge=200)
    wanted = flat(np.asarray(store.read("maps", 0, 1)[0]), rank)
    np.testing.assert_allclose(found.maps[0] / 255, wanted, atol=1 / 255)
    picture = drawn(records[0])
    height, width = wanted.shape[-2:]
    assert picture.width / picture.height == pytest.approx(3 if rank == 1 else width / height, abs=0.05)
    assert aspect(records.shape[1:-1]) == pytest.approx(picture.width / picture.height, abs=0.05)


def test_pictures_and_volumes_do_not_share_a_page(made, tmp_path):
    _, _, folder = made
    run(batch(2), tmp_path / "pictures", 2)
    with pytest.raises(ValueError, match="cannot stand side by side"):
        datasets.report([folder / "store", tmp_path / "pictures"], tmp_path / "report.html")


def test_the_panels_of_a_volume():
    volume = np.random.default_rng(0).normal(size=(2, 4, 5, 7))  # two of depth 4
    panels = flat(volume, 3)
    assert panels.shape == (2, 5 + 4, 7 + 7)
    np.testing.assert_array_equal(panels[:, :5, :7], volume[:, 2])
    np.testing.assert_array_equal(panels[:, :5, 7:], volume.max(axis=1))
    np.testing.assert_array_equal(panels[:, 5:, :7], volume[:, :, 2])
    np.testing.assert_array_equal(panels[:, 5:, 7:12], volume[..., 3])
    assert not panels[:, 5:, 12:].any()


def test_a_curve_rises_where_the_signal_does():
    signal = np.zeros((64, 1), np.float32)
    signal[48] = 1
    dark = np.asarray(drawn(signal).convert("L")) < 200
    assert dark.shape == CURVE[::-1]
    highest = np.argmax(dark.any(axis=1))
    (across,) = np.nonzero(dark[highest])
    np.testing.assert_allclose(across.mean(), (48.5 / 64) * CURVE[0], atol=2)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), r"preprocessed records are floats .*; got uint8 \(2, 4, 4, 3\)"),
        (np.zeros((2, 4), np.float32), r"preprocessed records are floats .*; got float32 \(2, 4\)"),
        (
            [np.zeros((4, 4, 3), np.uint8)],
            "the first record tells the shape of all, and it .* array of floats",
        ),
    ],
)
def test_records_that_are_no_arrays_of_floats(records, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        run(records, tmp_path / "store", 2)


def test_pictures_need_their_preprocessing(tmp_path):
    source = datasets.open(np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="these records are pictures, which need the model's preprocess="):
        run(source, tmp_path / "store", 2)


def test_a_batch_of_targets_is_not_an_axis_of_a_volume(made, tmp_path):
    """A store whose arrays say one target, and whose maps have two axes more, is refused and not taken for volumes."""
    import zarr

    _, _, folder = made
    group = zarr.open_group(folder / "store", mode="r+")
    about = dict(group.attrs["jaxcam"])
    try:
        group.attrs["jaxcam"] = about | {"size": [8, 8]}
        with pytest.raises(ValueError, match=r"damaged: .*(does not fit the maps|for maps of rank 2)"):
            open_foreign(folder / "store")
    finally:
        group.attrs["jaxcam"] = about
