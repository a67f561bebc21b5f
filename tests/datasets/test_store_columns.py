"""The table of a store's arrays is what a run writes, and only a writer writes."""

import pytest
import zarr

from jaxcam import datasets
from jaxcam.datasets.store._columns import KINDS, columns
from jaxcam.datasets.store._store import Store
from jaxcam.datasets.store._writer import Writer

SETTINGS = {"size": (4, 4), "maps_dtype": "float16", "classes": 9, "logits": True}


@pytest.mark.parametrize("targets", [1, 3])
def test_every_array_of_a_run_is_in_the_table(targets):
    made = columns(**SETTINGS, targets=targets, metrics=("deletion",))
    assert {each.name for each in made} == KINDS.keys() | {"deletion"}
    for each in made:
        kinds, ranks = KINDS.get(each.name, ("f", (1, 2)))
        assert ("T" if each.dtype == "string" else each.dtype[0]) in kinds
        assert 1 + len(each.shape) in ranks
        assert len(each.shape) == len(each.axes)


def test_a_store_is_read_and_a_writer_writes():
    shared = vars(Store).keys() & vars(Writer).keys()
    assert [name for name in shared if not name.startswith("_")] == []
    assert {"read", "written", "done"} <= vars(Store).keys()
    assert {"write", "forget", "write_metadata"} <= vars(Writer).keys()


def test_a_group_without_metadata_of_its_arrays_is_read_but_not_written(tmp_path):
    """As others make one."""
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=3, attributes={"jaxcam": {}})
    group.create_array("status", shape=(3,), chunks=(2,), dtype="uint8")[:] = 1
    store = datasets.open_store(tmp_path / "a")
    assert (store.records, store.batch, store.names, store.arrays) == (3, 2, (), ("status",))
    assert store["status"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"no array 'sttus'; did you mean 'status'"):
        store.read("sttus")
    with pytest.raises(ValueError, match="was not made by `jaxcam run`"):
        Writer(store)
