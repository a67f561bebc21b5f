"""`jaxcam.show`: what it draws where, for pictures, signals and volumes."""

from typing import Any

import numpy as np
import pytest

import jaxcam
from jaxcam.figures._show import _columns, _grounds

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
MAPS = RNG.uniform(size=(2, 12, 16)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("unchecked")


def panels(figure):
    """The panels by row and column, without colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def test_rows_are_pictures_and_columns_methods():
    figure = jaxcam.show(PICTURES, {"gradcam": MAPS, "cam": MAPS[:, ::2, ::2]}, titles=["a", "b"])
    found = panels(figure)
    assert len(found) == 2 * 3
    assert [axes.get_title() for axes in found[:3]] == ["", "gradcam", "cam"]
    assert [found[0].get_ylabel(), found[3].get_ylabel()] == ["a", "b"]
    first = np.asarray(found[0].images[0].get_array())
    np.testing.assert_allclose(first, PICTURES[0] / 255, atol=1e-6)
    mixed = found[4].images[0].get_array()
    np.testing.assert_array_equal(mixed, jaxcam.overlay(PICTURES[1], MAPS[1]))
    smaller = found[2].images[-1]  # a map of another size lies over the whole picture
    assert smaller.get_extent() == [-0.5, 15.5, 11.5, -0.5]


def test_raw_maps_have_a_colour_bar_around_zero():
    raw = MAPS - 0.5
    figure = jaxcam.show(PICTURES, {"raw": 3 * raw, "shown": MAPS})
    assert len(figure.axes) == 2 * 3 + 1
    drawn = panels(figure)[1].images[0]
    assert drawn.get_clim() == pytest.approx((-3 * np.abs(raw).max(), 3 * np.abs(raw).max()))


def test_several_classes_are_columns():
    several = np.stack([MAPS, 1 - MAPS, MAPS], axis=1)
    assert list(_columns(several, ["x", "y", "z"], 2, 2, one=False)) == ["x", "y", "z"]
    assert list(_columns({"cam": several, "one": MAPS}, None, 2, 2, one=False)) == [
        "cam 1",
        "cam 2",
        "cam 3",
        "one",
    ]
    (alone,) = _columns(MAPS[0], None, 1, 2, one=True).values()
    assert alone.shape == (1, 12, 16)
    assert len(_columns(several[0], None, 1, 2, one=True)) == 3


def test_what_a_model_sees_is_scaled_to_be_seen():
    seen = RNG.normal(size=(2, 5, 6, 3))
    found = _grounds(seen, 2)
    assert found.min(axis=(1, 2, 3)) == pytest.approx([0, 0])
    assert found.max(axis=(1, 2, 3)) == pytest.approx([1, 1])
    within = RNG.uniform(0.2, 0.6, (1, 5, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(_grounds(within, 2), np.repeat(within, 3, -1), atol=1e-6)


def test_signals_and_volumes():
    signals = jaxcam.show(RNG.normal(size=(3, 40, 2)), RNG.uniform(size=(3, 40)), rank=1)
    assert len(panels(signals)) == 6
    assert len(panels(signals)[0].lines) == 2
    volumes = jaxcam.show(RNG.uniform(size=(6, 8, 9, 1)), RNG.uniform(size=(6, 8, 9)), rank=3)
    assert np.asarray(panels(volumes)[0].images[0].get_array()).shape == (8, 9, 3)


def test_boxes_and_a_notebook():
    figure: Any = jaxcam.show(PICTURES, MAPS, boxes=[[1, 2, 5, 6], [[0, 0, 3, 3], [4, 4, 8, 8]]])
    found = panels(figure)
    assert [len(axes.patches) for axes in found] == [1, 1, 2, 2]
    assert found[0].patches[0].get_xy() == (0.5, 1.5)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((PICTURES, MAPS[:1]), {}, r"maps of 2 pictures must be \(2, \*space\).*got shape \(1, 12, 16\)"),
        ((PICTURES[..., :2], MAPS), {}, r"rank=2 takes pictures \(B, H, W, 3\); got shape"),
        ((PICTURES, MAPS), {"titles": ["a"]}, "titles: one for each of the 2 pictures; got 1"),
        ((PICTURES, MAPS), {"columns": ["a", "b"]}, "a name for each of the 1 columns of maps; got 2"),
        ((PICTURES, {}), {}, "at least one column"),
        ((PICTURES, {"cam": MAPS}), {"columns": ["a"]}, "leave columns= out"),
        ((PICTURES, MAPS), {"colormap": "turboo"}, "did you mean 'turbo'"),
        ((PICTURES, MAPS), {"rank": 4}, "the rank is 1"),
    ],
)
def test_mistakes(given, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.show(*given, **options)
