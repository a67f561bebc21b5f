"""A run: what the store holds is what `jaxcam.explain` gives, record for record."""

import json
import warnings

import jax
import numpy as np
import pytest
from dataset_files import save
from nets import small
from small_run import SIDE, digests, pictures, run

import jaxcam
from jaxcam import datasets
from jaxcam.models._preprocess import Preprocess

PREPROCESS = Preprocess(resize=SIDE, size=SIDE)


def prepared(given: np.ndarray) -> np.ndarray:
    return np.stack([PREPROCESS(each) for each in given])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A store of 11 records, batches of 2: the last is not full."""
    out = tmp_path_factory.mktemp("run") / "maps.zarr"
    events = []
    summary = run(pictures(), out, logits=True, listeners=[events.append])
    return datasets.open_store(out), summary, events


def test_maps_and_outputs_are_those_of_explain(done):
    store, _, _ = done
    maps, outputs = jaxcam.explain(small(), prepared(pictures()), method="gradcam", with_output=True)
    outputs = np.asarray(outputs)
    np.testing.assert_allclose(store["maps"], maps, atol=1e-5)
    np.testing.assert_allclose(store["logits"], outputs, atol=1e-5)
    best = outputs.argmax(axis=1)
    np.testing.assert_array_equal(store["predicted"], best)
    np.testing.assert_array_equal(store["target"], best)
    np.testing.assert_allclose(store["score"], outputs.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(
        store["probability"], np.asarray(jax.nn.softmax(outputs)).max(axis=1), atol=1e-5
    )
    np.testing.assert_array_equal(store["top_class"], np.argsort(-outputs, axis=1)[:, :5])
    np.testing.assert_allclose(store["top_logit"], -np.sort(-outputs, axis=1)[:, :5], atol=1e-5)


def test_metrics_are_the_librarys(tmp_path):
    names = ("average_drop", "average_increase", "deletion", "complexity")
    run(pictures(5), tmp_path / "maps.zarr", metrics=names, targets=[1, 3], stored="layer")
    store = datasets.open_store(tmp_path / "maps.zarr")
    assert store.attributes["metrics"] == list(names)
    images = prepared(pictures(5))
    for place, target in enumerate([1, 3]):
        maps = jaxcam.explain(small(), images, target, method="gradcam")
        expected = jaxcam.metrics.evaluate(small(), images, target, maps, metrics=names)
        for name in names:
            np.testing.assert_allclose(store[name][:, place], expected[name], rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="no metric 'averag_drop'; did you mean 'average_drop'"):
        run(pictures(5), tmp_path / "other.zarr", metrics=["averag_drop"])
    with pytest.raises(ValueError, match=r"metrics: \['average_drop'"):
        run(pictures(5), tmp_path / "maps.zarr", targets=[1, 3], stored="layer")


def test_each_record_is_there_once(done):
    store, summary, _ = done
    assert (store["status"] == 1).all()
    assert [path.split("[")[1] for path in store["path"]] == [f"{i}]" for i in range(11)]
    assert len({bytes(each) for each in store["digest"]}) == 11
    assert set(store["error"]) == {""}
    assert (summary.records, summary.done, summary.failed, summary.computed) == (11, 11, 0, 11)


def test_the_store_says_how_to_make_it_again(done):
    made = done[0].attributes
    assert made["method"] == "gradcam"
    assert made["target"] == "top-1"
    assert made["stored"] == "image"
    assert made["fit"] == "crop"
    assert made["batch"] == 2
    assert made["source"]["records"] == 11
    assert made["layer_size"] == [6, 6]
    assert made["preprocess"]["size"] == SIDE
    assert set(made["versions"]) >= {"jaxcam", "jax", "flax", "numpy", "tensorstore"}


def test_events_count_to_the_end(done):
    _, summary, events = done
    words = [each["event"] for each in events]
    assert words[:2] == ["start", "compiled"]
    assert words[-1] == "end"
    batches = [each for each in events if each["event"] == "batch"]
    assert sorted(each["batch"] for each in batches) == list(range(6))
    assert batches[-1]["left"] == 0
    assert 0 < summary.busy <= 1
    assert summary.limit in ("device", "decoding", "writing")


def test_zarr_and_xarray_open_it(done):
    store, _, _ = done
    import xarray
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(store.location, mode="r")
        whole = xarray.open_zarr(store.location)
    assert group.attrs["jaxcam"]["method"] == "gradcam"
    for name in store.names:
        np.testing.assert_array_equal(group[name][:], store[name])
        np.testing.assert_array_equal(whole[name].values, store[name])
    assert whole["maps"].dims == ("record", "y", "x")
    assert whole["logits"].dims == ("record", "class")


def test_several_targets_have_an_axis(tmp_path):
    run(pictures(), tmp_path / "a", targets="top-2", stored="raw", method="hirescam")
    store = datasets.open_store(tmp_path / "a")
    images = prepared(pictures())
    raw = jaxcam.explain(small(), images, jaxcam.top(2), method="hirescam", raw=True)
    assert store["maps"].shape == raw.shape
    np.testing.assert_allclose(store["maps"], raw, atol=1e-5)
    np.testing.assert_array_equal(store["target"], store["top_class"][:, :2])
    np.testing.assert_array_equal(store["score"], store["top_logit"][:, :2])


def test_labels_of_the_source_are_explained(tmp_path):
    labels = np.arange(11) % 5
    labels[3], labels[7] = -1, 5
    run(datasets.open(pictures(), labels=labels), tmp_path / "a", targets="label", stored="layer")
    store = datasets.open_store(tmp_path / "a")
    good = (labels >= 0) & (labels < 5)
    np.testing.assert_array_equal(store["status"], np.where(good, 1, 2))
    np.testing.assert_array_equal(store["target"][good], labels[good])
    np.testing.assert_array_equal(store["label"][good], labels[good])
    assert store["error"][3] == "its source names no class to explain"
    assert store["error"][7] == "no class 5: the model has 5 classes, 0 to 4"
    size = tuple(store.attributes["layer_size"])
    maps = jaxcam.explain(small(), prepared(pictures())[good], labels[good], size=size)
    np.testing.assert_allclose(store["maps"][good], maps, atol=1e-5)


def test_class_folders_are_the_models_classes_by_name(tmp_path):
    for seed, name in enumerate(["cat", "dog", "cat"]):
        save(tmp_path / "in" / name / f"{seed}.png", seed)
    names = ["ant", "dog", "emu", "cat", "fox"]
    run(str(tmp_path / "in"), tmp_path / "a", targets="label", classes=names)
    store = datasets.open_store(tmp_path / "a")
    assert list(store["target"]) == [3, 3, 1]
    assert list(store["label"]) == [3, 3, 1]
    assert store.attributes["classes"] == names
    with pytest.raises(ValueError, match="the source's classes are not the model's: no class 'cat'"):
        run(str(tmp_path / "in"), tmp_path / "b", targets="label", classes=["a", "b", "c", "d", "e"])


def test_records_that_fail_are_skipped_with_their_reasons(tmp_path):
    given = prepared(pictures())
    given[2, 0, 0, 0] = np.nan  # the source says so
    given[5] = 3e38  # the model overflows
    events = []
    summary = run(given, tmp_path / "a", listeners=[events.append])
    good = run(prepared(pictures()), tmp_path / "b")
    store, other = datasets.open_store(tmp_path / "a"), datasets.open_store(tmp_path / "b")
    assert (summary.done, summary.failed, good.failed) == (9, 2, 0)
    assert list(np.flatnonzero(store["status"] == 2)) == [2, 5]
    assert "not finite" in store["error"][2]
    assert store["error"][5] == "the model's output is not finite"
    fine = store["status"] == 1
    for name in ("maps", "score", "target", "path", "digest"):
        np.testing.assert_array_equal(store[name][fine], other[name][fine])
    assert (store["maps"][~fine] == 0).all()
    assert np.isnan(store["score"][~fine]).all()
    assert (store["target"][~fine] == -1).all()
    named = [each for each in events if each["event"] == "failed"]
    assert [(each["record"], each["reason"]) for each in named] == [(i, store["error"][i]) for i in (2, 5)]


def test_strict_ends_at_a_record_that_fails(tmp_path):
    given = prepared(pictures())
    given[4] = np.nan
    with pytest.raises(datasets.BadRecord, match=r"\[4\]: .*not finite"):
        run(given, tmp_path / "a", strict=True)
    store = datasets.open_store(tmp_path / "a")
    assert (store["status"][:4] == 1).all()
    assert store["status"][4] == 0
    log = [json.loads(line) for line in (tmp_path / "a" / "log-0.jsonl").read_text().splitlines()]
    assert log[-1]["event"] == "error"
    run(given, tmp_path / "a")
    with pytest.raises(datasets.BadRecord, match=r"1 records of .* have failed before"):
        run(given, tmp_path / "a", strict=True)


def test_a_file_url_is_a_store_too(tmp_path):
    run(pictures(5), tmp_path / "a")
    run(pictures(5), (tmp_path / "b").as_uri())
    assert digests(tmp_path / "a") == digests((tmp_path / "b").as_uri())
    assert (tmp_path / "b" / "log-0.jsonl").is_file()


MISTAKES = {
    "method": ({"method": "gradcan"}, ValueError, "no method 'gradcan'; did you mean 'gradcam'"),
    "option": ({"options": {"fues": 1}}, TypeError, "no option 'fues'; did you mean 'fuse'"),
    "target": ({"targets": "top"}, ValueError, "'label', 'top-1', 'top-K' or classes"),
    "kind of target": ({"targets": 1.5}, TypeError, "'label', 'top-1', 'top-K' or classes"),
    "class": ({"targets": [1, 5]}, ValueError, "no class 5: the model has 5 classes"),
    "top": ({"targets": "top-6"}, ValueError, r"top\(6\) of a model with 5 classes"),
    "stored": ({"stored": "layers"}, ValueError, "no stored 'layers'; did you mean 'layer'"),
    "dtype": ({"maps_dtype": "float64"}, ValueError, "no maps_dtype 'float64'; did you mean 'float"),
    "batch": ({"batch": 0}, ValueError, "batch must be a whole number of at least 1; got 0"),
    "process": ({"process": 2, "processes": 2}, ValueError, "process is 0 to 1, for 2 processes; got 2"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_before_anything_is_written(tmp_path, unchecked, case):
    options, kind, message = MISTAKES[case]
    with pytest.raises(kind, match=message):
        run(pictures(3), tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()
