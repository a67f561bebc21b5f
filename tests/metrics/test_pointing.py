import numpy as np
import pytest

from jaxcam import metrics


def inside(boxes, size):
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        mask[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = True
    return mask


def random_case(seed, count=40, size=(23, 31)):
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        corner = rng.uniform(0, [size[1] - 3, size[0] - 3], size=(rng.integers(1, 4), 2))
        boxes.append(np.hstack([corner, np.minimum(corner + rng.uniform(0.2, 9, corner.shape), size[::-1])]))
    return rng.uniform(size=(count, *size)).astype(np.float32), boxes


@pytest.mark.parametrize("tolerance", [0, 1, 2.5, 4, 15])
def test_pointing_game_equals_a_search_over_all_pixels(tolerance):
    maps, boxes = random_case(0)
    expected = []
    for shown, rows in zip(maps, boxes, strict=True):
        y, x = np.unravel_index(shown.argmax(), shown.shape)
        Y, X = np.nonzero(inside(rows, shown.shape))
        squared = ((Y - y) ** 2 + (X - x) ** 2).min()
        expected.append(squared == 0 or squared < tolerance**2)
    assert 0 < sum(expected) < 40 or tolerance == 15
    np.testing.assert_array_equal(metrics.pointing_game(maps, boxes, tolerance=tolerance), expected)


def test_energy_equals_the_sum_over_a_mask():
    maps, boxes = random_case(1)
    expected = [(m * inside(b, m.shape)).sum() / m.sum() for m, b in zip(maps, boxes, strict=True)]
    np.testing.assert_allclose(metrics.energy_pointing_game(maps, boxes), expected, atol=1e-6)


def test_fifteen_pixels_are_just_too_far():
    maps = np.zeros((3, 60, 60), np.float32)
    maps[0, 30, 30 + 14] = maps[1, 30, 30 + 15] = maps[2, 30 + 12, 30 + 8] = 1
    boxes = [[[20, 20, 31, 31]]] * 3  # its last pixel is (30, 30)
    np.testing.assert_array_equal(metrics.pointing_game(maps, boxes), [1, 0, 1])


def test_rows_are_y():
    maps = np.zeros((2, 10, 20), np.float32)
    maps[0, 2, 15] = maps[1, 8, 3] = 1
    wide = [[14, 1, 18, 4]]
    np.testing.assert_array_equal(metrics.pointing_game(maps, [wide] * 2, tolerance=0), [1, 0])
    np.testing.assert_array_equal(metrics.energy_pointing_game(maps, [wide] * 2), [1, 0])


def test_a_map_inside_the_box_has_all_its_energy_there():
    maps = np.zeros((1, 9, 12), np.float32)
    maps[0, 3:6, 2:9] = np.random.default_rng(0).uniform(size=(3, 7))
    np.testing.assert_array_equal(metrics.energy_pointing_game(maps, [[[2, 3, 9, 6]]]), 1)
    # a second box over the first is counted once
    overlapping = [[[2, 3, 9, 6], [0, 0, 12, 9]]]
    np.testing.assert_array_equal(metrics.energy_pointing_game(maps, overlapping), 1)


def test_one_box_an_image_needs_no_list():
    maps, boxes = random_case(2, count=5)
    first = np.stack([each[0] for each in boxes])
    np.testing.assert_array_equal(
        metrics.pointing_game(maps, first), metrics.pointing_game(maps, [[b] for b in first])
    )


def test_a_thin_box_has_a_pixel():
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 4, 4] = 1
    np.testing.assert_array_equal(metrics.pointing_game(maps, [[[4.4, 4.4, 4.45, 4.45]]], tolerance=0), 1)


def test_constant_maps_point_nowhere():
    maps = np.stack([np.zeros((8, 8)), np.ones((8, 8))]).astype(np.float32)
    boxes = [[[0, 0, 4, 8]]] * 2
    np.testing.assert_array_equal(metrics.pointing_game(maps, boxes), 0)
    np.testing.assert_array_equal(metrics.energy_pointing_game(maps, boxes), [0, 0.5])


def test_mean_over_classes():
    assert metrics.mean_over_classes([1, 1, 1, 0], [5, 5, 5, 7]) == 0.5
    assert metrics.mean_over_classes(np.array([1.0, 0.0, 0.0]), [1, 1, 2]) == 0.25
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        metrics.mean_over_classes([1, 0, 1], [1, 2])


def test_boxes_follow_the_picture_into_the_map():
    """A white rectangle keeps to its box, squeezed and cropped."""
    from PIL import Image

    from jaxcam import models

    prepare = models.preprocess("squeezenet1_1")
    picture = np.zeros((300, 500, 3), np.uint8)
    box = [210, 100, 290, 220]
    picture[box[1] : box[3], box[0] : box[2]] = 255
    for crop in (True, False):
        seen = prepare.view(Image.fromarray(picture), crop=crop)[..., 0] > 127
        resize = prepare.resize if crop else None
        ((x0, y0, x1, y1),) = metrics.rescale_boxes([box], (500, 300), size=prepare.size, resize=resize)
        rows, columns = np.nonzero(seen)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([x0, y0, x1, y1], found, atol=1)


def test_boxes_outside_the_crop_are_left_out():
    kept = metrics.rescale_boxes([[0, 0, 20, 100], [190, 0, 210, 100]], (400, 100), size=224, resize=256)
    assert kept.shape == (1, 4)
    assert metrics.rescale_boxes([0, 0, 20, 100], (400, 100), size=224, resize=256).shape == (0, 4)
    edge = metrics.rescale_boxes([100, 0, 400, 100], (400, 100), size=224, resize=256)
    assert edge[0, 2] == edge[0, 3] == 224


MAPS = np.random.default_rng(0).uniform(size=(2, 6, 8)).astype(np.float32)
GOOD = [[0, 0, 4, 4]]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([GOOD], "2 maps and 1 lists"),
        ([GOOD, []], "image 1 has no box"),
        ([GOOD, [[0, 0, 9, 4]]], r"image 1: the box \[0.0, 0.0, 9.0, 4.0\] leaves the 8 x 6"),
        ([GOOD, [[-1, 0, 4, 4]]], "leaves"),
        ([GOOD, [[0, 0, 4, 7]]], "leaves"),
        ([GOOD, [[3, 2, 3, 4]]], r"\[3.0, 2.0, 3.0, 4.0\] has no area"),
        ([GOOD, [[4, 4, 2, 2]]], "has no area"),
        ([GOOD, [[0, 0, np.nan, 4]]], "not finite"),
        ([GOOD, [[0, 0, 4]]], r"rows of x0, y0, x1, y1; image 1 has shape \(1, 3\)"),
    ],
)
@pytest.mark.parametrize("metric", [metrics.pointing_game, metrics.energy_pointing_game])
def test_bad_boxes(metric, boxes, message):
    with pytest.raises(ValueError, match=message):
        metric(MAPS, boxes)


def test_bad_maps():
    boxes = [GOOD, GOOD]
    for metric in (metrics.pointing_game, metrics.energy_pointing_game):
        with pytest.raises(ValueError, match="map 1 has a NaN"):
            metric(np.stack([MAPS[0], np.full((6, 8), np.nan, np.float32)]), boxes)
        with pytest.raises(ValueError, match=r"maps\[None\]"):
            metric(MAPS[0], boxes)
        with pytest.raises(TypeError, match="int"):
            metric(np.ones((2, 6, 8), int), boxes)
    with pytest.raises(ValueError, match=r"at least 0"):
        metrics.energy_pointing_game(-MAPS, boxes)
    with pytest.raises(ValueError, match=r"tolerance .* got -1"):
        metrics.pointing_game(MAPS, boxes, tolerance=-1)
    with pytest.raises(ValueError, match="leaves the 40 x 30"):
        metrics.rescale_boxes([0, 0, 41, 20], (40, 30), size=8)
