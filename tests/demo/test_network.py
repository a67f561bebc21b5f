"""The network, its shipped weights, and how they were trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxcam
from jaxcam import demo
from jaxcam.demo import train as training
from jaxcam.demo._network import WEIGHTS, save


@pytest.fixture(scope="module")
def network():
    return demo.load()


def test_logits_and_grid(network):
    images = demo.prepare(demo.scenes(2, seed=0).images)
    assert network(images).shape == (2, 10)
    _, activation = jaxcam.probe(network, demo.LAYER)(images[0])
    assert activation.shape == (14, 14, 64)
    assert float(activation.min()) >= 0


def test_shipped_weights_are_small():
    assert WEIGHTS.stat().st_size < 500_000


def test_shipped_weights_know_digits_they_never_saw(network):
    told = training.evaluate(network, demo.scenes(300, seed=11))
    assert told["average_precision"] > 0.99
    assert told["presence"] > 0.97
    assert told["exact_set"] > 0.85


def test_answers_depend_on_the_digits_alone(network):
    """Without a digit, clutter and all, hardly ever is a class found."""
    made = demo.scenes(40, seed=12)
    pictures = made.images.copy()
    for picture, boxes in zip(pictures, made.boxes, strict=True):
        for x0, y0, x1, y1 in boxes:
            picture[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = np.median(picture, axis=(0, 1)).astype(np.uint8)
    found = np.asarray(network(demo.prepare(pictures))) > 0
    assert found.sum(1).mean() < 0.1


def test_methods_differ_behind_this_head(network):
    made = demo.scenes(4, seed=1)
    probe = jaxcam.probe(network, demo.LAYER)
    maps = [
        np.asarray(jaxcam.explain(probe, demo.prepare(made.images), made.labels[:, 0], method=method))
        for method in (jaxcam.gradcam, jaxcam.hirescam)
    ]
    assert np.abs(maps[0] - maps[1]).max((1, 2)).min() > 0.05


def test_saving_and_loading_returns_the_network(network, tmp_path):
    save(network, tmp_path / "again.safetensors")
    again = demo.load(tmp_path / "again.safetensors")
    for a, b in zip(jax.tree.leaves(nnx.state(network)), jax.tree.leaves(nnx.state(again)), strict=True):
        assert jnp.array_equal(a, b)


@pytest.mark.exhaustive
def test_training_is_deterministic(monkeypatch):
    lesson = training.Lesson(64, 2, size=56, clutter=0, digits=(0, 1))
    monkeypatch.setattr(training, "LESSONS", (lesson,))
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to the count of steps
        first, second = training.train(seed=3), training.train(seed=3)
    for a, b in zip(jax.tree.leaves(nnx.state(first)), jax.tree.leaves(nnx.state(second)), strict=True):
        assert jnp.array_equal(a, b)


def test_a_step_of_training_learns():
    seen = demo.scenes(training.BATCH, seed=2, split="train", size=56, digits=1, clutter=0)
    network = demo.DigitFinder(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(network, optax.adamw(4e-3), wrt=nnx.Param)
    with jax.numpy_dtype_promotion("standard"):
        losses = [
            float(training._step(network, optimizer, seen.images, training.presence(seen.labels)))
            for _ in range(30)
        ]
    frequency = 10 * (
        0.1 * np.log(10) + 0.9 * np.log(1 / 0.9)
    )  # the loss of knowing one digit in ten is there
    assert losses[0] > frequency > 2 * losses[-1]


def test_presence():
    present = training.presence(np.array([[2, 0, 9]]))
    assert present.tolist() == [[1, 0, 1, 0, 0, 0, 0, 0, 0, 1]]
