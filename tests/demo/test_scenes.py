"""Scenes: the same again, honest boxes, and no digit on both sides of the split."""

import numpy as np
import pytest
from box_pixels import inside

from jaxcam.demo import _glyphs, scenes


@pytest.fixture(scope="module")
def clean():
    """Digits and nothing else, so that whatever is bright is ink of a digit."""
    return scenes(40, seed=5, clutter=0)


def test_the_same_arguments_give_the_same_pictures():
    first, second = scenes(4, seed=1), scenes(4, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("other", [{"seed": 2}, {"seed": 1, "split": "train"}])
def test_other_arguments_give_other_pictures(other):
    assert not np.array_equal(scenes(4, seed=1).images, scenes(4, **other).images)


def test_what_a_scene_is():
    made = scenes(5, seed=0, size=96, digits=2)
    assert made.images.shape == (5, 96, 96, 3)
    assert made.images.dtype == np.uint8
    assert made.labels.shape == (5, 2)
    assert made.boxes.shape == (5, 2, 4)
    assert (made.labels[:, 0] != made.labels[:, 1]).all()
    assert set(scenes(200, seed=0).labels.ravel()) == set(range(10))


def test_ink_lies_in_the_boxes_and_fills_them(clean):
    ink = clean.images.max(-1) > 120  # the slate is darker, a stroke of chalk brighter
    within = inside(clean.boxes, ink.shape[1:])
    assert not (ink & ~within.any(1)).any()
    for scene, boxes in zip(ink, clean.boxes, strict=True):
        for x0, y0, x1, y1 in boxes:
            rows, columns = np.nonzero(scene[y0:y1, x0:x1])
            assert rows.size > 0.1 * (x1 - x0) * (y1 - y0)
            slack = (rows.min(), columns.min(), y1 - y0 - 1 - rows.max(), x1 - x0 - 1 - columns.max())
            assert max(slack) <= 3, "a box is tight"


def test_boxes_lie_apart_and_in_the_picture(clean):
    assert clean.boxes.min() >= 0
    assert clean.boxes.max() <= clean.images.shape[1]
    assert inside(clean.boxes, clean.images.shape[1:3]).sum(1).max() == 1
    sides = clean.boxes[..., 2:] - clean.boxes[..., :2]
    assert sides.min() > 4
    assert 18 <= sides.max(-1).min() <= sides.max() <= 40


def test_clutter_is_drawn_outside_the_boxes():
    made = scenes(20, seed=5, clutter=10)
    bright = made.images.max(-1) > 120
    outside = bright & ~inside(made.boxes, bright.shape[1:]).any(1)
    assert (outside.sum((1, 2)) > 100).all()


def test_no_digit_is_in_both_splits():
    (train, train_classes), (test, test_classes) = _glyphs.digits("train"), _glyphs.digits("test")
    assert len(train) + len(test) == 1797
    assert len(train) == len(train_classes)
    assert set(test_classes) == set(range(10))
    assert not {glyph.tobytes() for glyph in train} & {glyph.tobytes() for glyph in test}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "valid"}, "no split 'valid'"),
        ({"digits": 11, "size": 400}, "11 digits"),
        ({"digits": 9}, "9 digits"),
        ({"size": 40}, "40 pixels"),
    ],
)
def test_wrong_arguments_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        scenes(1, **wrong)
