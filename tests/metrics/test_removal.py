"""Metrics that remove parts of the picture, and completeness: against NumPy, a picture and a part at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metric_cases import SIZE, case
from ranks import PLACES, SPACES, pointwise
from scipy import stats

import jaxcam
from jaxcam import metrics
from jaxcam.metrics._subsets import random_cells, random_pixels

KEY = jax.random.key(0)
forward = jax.jit(lambda probe, image: probe(image)[0])


def score(probe, image, target):
    logits = np.asarray(forward(probe, image), np.float64)
    exp = np.exp(logits - logits.max())
    return exp[target] / exp.sum()


def blocks(size, patch):
    """The pixels of each square of a grid, row by row."""
    for top in range(0, size[0], patch):
        for left in range(0, size[1], patch):
            gone = np.zeros(size, bool)
            gone[top : top + patch, left : left + patch] = True
            yield gone


def against(probe, x, c, L, parts):
    """Sums of the map over each part, and what the score loses with it."""
    losses = [score(probe, x, c) - score(probe, np.where(gone[..., None], 0, x), c) for gone in parts]
    return np.array([L[gone].sum() for gone in parts]), np.array(losses)


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_pixel_flipping(order, x64):
    probe, images, targets, maps = case(np.float64)
    curves = []
    for x, c, L in zip(images, targets, maps, strict=True):
        parts = list(blocks(SIZE, 5))  # 3 x 3 of them, some cut off
        sums = np.array([L[gone].sum() for gone in parts])
        places = np.argsort(-sums if order == "morf" else sums, kind="stable")[:7]
        gone = [np.any([parts[place] for place in places[:k]], axis=0) for k in range(1, 8)]
        curves.append(
            [score(probe, x, c), *(score(probe, np.where(each[..., None], 0, x), c) for each in gone)]
        )
    curves = np.array(curves)
    options = {"patch": 5, "regions": 7, "order": order}
    np.testing.assert_allclose(
        metrics.pixel_flipping_curve(probe, images, targets, maps, **options), curves, atol=1e-10
    )
    area = np.mean(curves[:, :1] - curves, axis=1)
    np.testing.assert_allclose(
        metrics.pixel_flipping(probe, images, targets, maps, **options), area, atol=1e-10
    )


def test_faithfulness_correlation(x64):
    probe, images, targets, maps = case(np.float64)
    expected = []
    for i, (x, c, L) in enumerate(zip(images, targets, maps, strict=True)):
        keys = [jax.random.fold_in(jax.random.fold_in(KEY, i), draw) for draw in range(12)]
        parts = [np.asarray(random_pixels(key, SIZE, 9)) for key in keys]
        assert {each.sum() for each in parts} == {9}
        expected.append(stats.pearsonr(*against(probe, x, c, L, parts))[0])
    found = metrics.faithfulness_correlation(probe, images, targets, maps, key=KEY, draws=12, pixels=9)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_mu_fidelity(x64):
    probe, images, targets, maps = case(np.float64)
    maps = maps**1.1  # whose sums have no ties but for rounding
    expected = []
    for i, (x, c, L) in enumerate(zip(images, targets, maps, strict=True)):
        keys = [jax.random.fold_in(jax.random.fold_in(KEY, i), draw) for draw in range(12)]
        parts = [np.asarray(random_cells(key, SIZE, 4, 0.3)) for key in keys]
        expected.append(stats.spearmanr(*against(probe, x, c, L, parts))[0])
    found = metrics.mu_fidelity(probe, images, targets, maps, key=KEY, draws=12, cells=4, share=0.3)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    keys = jax.vmap(lambda image: jax.random.fold_in(KEY, image))(jnp.arange(3))
    own = metrics.mu_fidelity(probe, images, targets, maps, key=keys, draws=12, cells=4, share=0.3)
    np.testing.assert_array_equal(own, found)


def test_random_cells_are_cells():
    gone = np.asarray(jax.vmap(lambda key: random_cells(key, (8, 12), 4, 0.2))(jax.random.split(KEY, 400)))
    assert abs(gone.mean() - 0.2) < 0.02
    np.testing.assert_array_equal(gone, np.kron(gone[:, ::2, ::3], np.ones((2, 3), bool)))


@pytest.mark.parametrize("peer", [False, True], ids=["ours", "quantus"])
def test_infidelity(peer, x64):
    """Quantus' squares grow to the whole picture, its sum is of the picture times the map, and nothing is scaled."""
    probe, images, targets, maps = case(np.float64)
    maps = maps - 0.3
    expected = []
    for x, c, L in zip(images, targets, maps, strict=True):
        parts = list(blocks(SIZE, 5))
        if peer:
            parts = [np.any(parts[: k + 1], axis=0) for k in range(len(parts))]
            sums, losses = against(probe, x, c, L * x.sum(axis=-1), parts)
        else:
            sums, losses = against(probe, x, c, L, parts)
            sums = sums * np.linalg.lstsq(sums[:, None], losses, rcond=None)[0]
        expected.append(np.mean((sums - losses) ** 2))
    options = {"multiplied": False, "scaled": False, "nested": True} if peer else {}
    found = metrics.infidelity(probe, images, targets, maps, patch=5, **options)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_completeness(x64):
    probe, images, targets, _ = case(np.float64)
    for chosen in (targets, None):
        maps = jaxcam.explain(probe, images, chosen, method="hirescam", raw=True)
        classes = [int(np.argmax(forward(probe, x))) for x in images] if chosen is None else targets
        gained = [
            forward(probe, x)[c] - forward(probe, 0.5 * np.ones_like(x))[c]
            for x, c in zip(images, classes, strict=True)
        ]
        expected = np.abs(np.sum(maps, axis=(1, 2)) - np.array(gained))
        found = metrics.completeness(probe, images, chosen, maps, baseline=0.5, chunk=2)
        np.testing.assert_allclose(found, expected, atol=1e-10)
    with pytest.raises(ValueError, match=r"broadcast to an image \(12, 14, 3\); got shape \(7,\)"):
        metrics.completeness(probe, images, targets, maps, baseline=np.ones(7))


def test_a_callable_is_its_value():
    """That of a class's probability is the class, with one for all images or one for each."""
    probe, images, classes, maps = case()
    names = ["average_drop", "deletion"]
    measured = functools.partial(metrics.evaluate, probe, images, maps=maps, metrics=names, steps=3)
    each = [jaxcam.probability(int(c)) for c in classes]
    for targets, same in ((each, classes), (lambda output: jax.nn.softmax(output)[3], 3)):
        found, expected = measured(targets=targets), measured(targets=same)
        for name in names:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)
    losses = metrics.infidelity(probe, images, each, maps, patch=7)
    np.testing.assert_allclose(losses, metrics.infidelity(probe, images, classes, maps, patch=7), rtol=1e-4)


def test_signals_and_volumes():
    flat = np.random.default_rng(0).normal(size=(2, PLACES, 2)).astype(np.float32)
    shown = np.random.default_rng(1).uniform(size=(2, PLACES)).astype(np.float32)
    options = {"key": KEY, "draws": 5, "pixels": 6}

    def measured(rank):
        space = SPACES[rank]
        given = pointwise(rank), flat.reshape(2, *space, 2), [0, 1], shown.reshape(2, *space)
        alike = (
            metrics.faithfulness_correlation(*given, **options),
            metrics.pixel_flipping(*given, patch=1, regions=5),
        )
        others = (
            metrics.mu_fidelity(*given, key=KEY, draws=5, cells=2, share=0.5),
            metrics.infidelity(*given, patch=2),
            metrics.completeness(*given),
        )
        assert all(each.shape == (2,) and np.isfinite(each).all() for each in others)
        return alike

    wanted = measured(2)
    for rank in (1, 3):
        for found, expected in zip(measured(rank), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pixel_flipping", {"patch": 0}, "patch .* got 0"),
        ("pixel_flipping", {"regions": 1.5}, "regions .* got 1.5"),
        ("pixel_flipping", {"order": "mrof"}, "did you mean 'morf'"),
        ("faithfulness_correlation", {"key": KEY, "draws": 1}, "draws .* at least 2; got 1"),
        ("faithfulness_correlation", {"key": KEY}, "168 pixels; got pixels=224"),
        (
            "faithfulness_correlation",
            {"key": jax.random.split(KEY, 2), "pixels": 5},
            "3 images .* got 2 keys",
        ),
        ("mu_fidelity", {"key": KEY, "cells": 0}, "cells .* got 0"),
        ("mu_fidelity", {"key": KEY, "share": 1}, "share .* got 1"),
        ("infidelity", {"patch": -1}, "patch .* got -1"),
    ],
)
def test_mistakes(name, options, message, unchecked):
    probe, images, targets, maps = case()
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(probe, images, targets, maps, **options)
