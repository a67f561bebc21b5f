"""The transformer, its shipped weights, and where its attention lies."""

import numpy as np
import pytest

import jaxcam
from jaxcam import demo, metrics
from jaxcam.demo import train as training
from jaxcam.demo._vit import VIT_WEIGHTS, vit


@pytest.fixture(scope="module")
def network():
    return vit()


def test_shipped_weights_are_small():
    assert VIT_WEIGHTS.stat().st_size < 500_000


def test_shipped_weights_know_digits_they_never_saw(network):
    told = training.evaluate(network[0], demo.scenes(200, seed=11))
    assert told["average_precision"] > 0.92
    assert told["presence"] > 0.9


def test_relevance_lies_on_the_digit_that_is_explained(network):
    made = demo.scenes(40, seed=12)
    images, boxes = demo.prepare(made.images), made.boxes[:, 0]
    probe = jaxcam.probe(*network)
    maps = jaxcam.explain(probe, images, made.labels[:, 0], method="attention_relevance")
    assert maps.shape == (40, 112, 112)
    area = np.mean((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) / 112**2
    assert np.mean(metrics.pointing_game(maps, boxes, tolerance=0)) > 0.65
    assert np.mean(metrics.energy_pointing_game(maps, boxes)) > 10 * area
