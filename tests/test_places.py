"""Maps of a detector's box and of a U-Net's region lie on the object that they were asked for, and on no other."""

from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def places(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import places

    # the nets are written as users write theirs
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield places


@pytest.mark.parametrize("kind", ["detector", "unet"])
def test_map_lies_on_the_object_that_was_asked_for(places, kind):
    """In each scene are two objects of the class that is asked for first."""
    test = places.scenes(12, seed=1)
    if kind == "detector":
        model, maps_of = places.detector(steps=150), places.box_maps
    else:
        model, maps_of = places.unet(steps=40), places.region_maps
    assert (test.classes[:, 0] == test.classes[:, 1]).all()
    for place in range(3):
        maps = maps_of(model, test, place)
        found = ~np.isnan(maps).any((1, 2))  # the detector may miss an object
        assert found.sum() >= 11
        shares = places.energies(maps[found], test.boxes[found])
        others = np.delete(shares, place, axis=1)
        assert shares[:, place].mean() > 0.4
        assert others.max() < 0.05
        highest = np.array([np.unravel_index(each.argmax(), each.shape) for each in maps[found]]) + 0.5
        x0, y0, x1, y1 = test.boxes[found, place].T
        inside = (y0 < highest[:, 0]) & (highest[:, 0] < y1) & (x0 < highest[:, 1]) & (highest[:, 1] < x1)
        assert inside.mean() > 0.8


def test_scenes_hold_what_they_say(places):
    test = places.scenes(4, seed=0)
    rows, columns = np.mgrid[: places.SIDE, : places.SIDE] + 0.5
    for number in range(4):
        for box, mask in zip(test.boxes[number], test.masks[number], strict=True):
            assert mask.sum() > 20
            assert columns[mask].min() >= box[0]
            assert rows[mask].max() <= box[3]
        assert test.masks[number].sum(0).max() == 1
