"""Recipro-CAM, occlusion and RISE: what the head makes of a part of the activation, once more in NumPy, in float64."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import counted, halved, softmax
from nets import Small, images, small
from scipy import ndimage

import jaxcam

double = pytest.mark.usefixtures("x64")
NAMES = ("reciprocam", "occlusion", "rise")


def direct(space, K=4, classes=3, seed=0):
    """A probe whose layer is the input, of any rank, an activation, and its head in NumPy."""
    rng = np.random.default_rng(seed)
    A, V = rng.normal(size=(*space, K)), rng.normal(size=(*space, K, classes))
    head = lambda a: jnp.tanh(a.reshape(1, -1)) @ jnp.asarray(V).reshape(-1, classes)  # noqa: E731
    return (
        jaxcam.probe(split=(lambda x: x, head)),
        A,
        lambda a: np.tanh(a.reshape(-1)) @ V.reshape(-1, classes),
    )


def gaussian(space, position):
    each = [
        np.select([abs(np.arange(side) - at) == 0, abs(np.arange(side) - at) == 1], [0.5, 0.25], 0)
        for side, at in zip(space, position, strict=True)
    ]
    return functools.reduce(np.multiply.outer, each)[..., None]


@double
@pytest.mark.parametrize("space", [(7,), (4, 5), (2, 3, 4)], ids=["signal", "picture", "volume"])
@pytest.mark.parametrize("spread", ["none", "mask", "copy"])
def test_reciprocam_equals_the_formula(spread, space):
    probe, A, head = direct(space)
    expected = np.zeros(space)
    for p in np.ndindex(space):
        left = np.zeros_like(A)
        left[p] = A[p]
        if spread != "none":
            left = gaussian(space, p) * (A if spread == "mask" else A[p])
        expected[p] = softmax(head(left))[2]
    raw = jax.jit(lambda x: jaxcam.reciprocam(probe, x, 2, spread=spread))(A)
    np.testing.assert_allclose(raw, expected, atol=1e-12)


def test_reciprocam_leaves_the_class_token():
    """A head that reads the class token only sees it whole, at every position."""
    seen = []
    model = jaxcam.probe(
        split=(
            lambda x: jnp.concatenate([jnp.full((1, 1, 3), 7.0), x.reshape(1, -1, 3)], axis=1),
            lambda a: (jax.debug.callback(lambda a: seen.append(np.array(a)), a), jnp.mean(a, axis=1))[1],
        ),
        tokens=1,
    )
    jax.jit(lambda x: jaxcam.reciprocam(model, x, 1))(images(1, size=(4, 4))[0])
    jax.effects_barrier()
    assert len(seen) == 17
    assert all((a[0, 0] == 7).all() for a in seen)
    assert [np.any(a[0, 1:], axis=-1).sum() for a in seen].count(1) == 16


@double
@pytest.mark.parametrize(
    ("space", "patch", "stride"),
    [
        ((9,), 4, 3),
        ((7, 10), (3, 4), (2, 4)),
        ((3, 4, 5), 2, 1),
        ((5, 6), None, None),
        ((17, 20), None, None),
        ((4, 5), (4, 5), 1),
    ],
)
def test_occlusion_equals_the_formula(space, patch, stride):
    probe, A, head = direct(space)
    if patch is None:
        patches = [-(-side // 8) for side in space]
        strides = [-(-side // 2) for side in patches]
    else:
        patches, strides = np.broadcast_to(patch, len(space)), np.broadcast_to(stride, len(space))
    total, count = np.zeros(space), np.zeros(space)
    steps = [
        range(0, -(-(side - p) // s) * s + 1, s) for side, p, s in zip(space, patches, strides, strict=True)
    ]
    for corner in itertools.product(*steps):
        inside = tuple(slice(at, at + p) for at, p in zip(corner, patches, strict=True))
        left = A.copy()
        left[inside] = 0.3
        total[inside] += head(A)[2] - head(left)[2]
        count[inside] += 1
    raw = jax.jit(lambda x: jaxcam.occlusion(probe, x, 2, patch=patch, stride=stride, baseline=0.3))(A)
    np.testing.assert_allclose(raw, total / count, atol=1e-12)


@double
@pytest.mark.parametrize(
    ("space", "cells"), [((7,), 3), ((9, 11), 4), ((5, 6, 4), 2), ((6, 7), 8), ((6, 7), 1)]
)
def test_rise_equals_the_formula(space, cells):
    probe, A, head = direct(space)
    key, p = jax.random.key(4), 0.4
    sizes = [-(-side // cells) for side in space]

    @jax.jit
    @jax.vmap
    def draws(number):
        drawn, shifts = jax.random.split(jax.random.fold_in(key, number))
        shifts = zip(jax.random.split(shifts, len(space)), sizes, strict=True)
        return jax.random.bernoulli(drawn, p, (cells,) * len(space)), [
            jax.random.randint(shift, (), 0, size) for shift, size in shifts
        ]

    grids, begins = draws(jnp.arange(10))
    total = np.zeros(space)
    for number, grid in enumerate(np.asarray(grids, float)):
        # as scikit-image's resize, which the authors take
        factors = [(cells + 1) * size / cells for size in sizes]
        large = ndimage.zoom(grid, factors, order=1, mode="mirror", grid_mode=True)
        corner = (int(begin[number]) for begin in begins)
        mask = large[tuple(slice(at, at + side) for at, side in zip(corner, space, strict=True))]
        total += softmax(head(A * mask[..., None]))[2] * mask
    options = {"masks": 10, "cells": cells, "probability": p, "key": key}
    raw = jax.jit(lambda x: jaxcam.rise(probe, x, 2, chunk=4, **options))(A)  # two rounds, and two masks more
    np.testing.assert_allclose(raw, total / (10 * p), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "passes"),
    [
        ("reciprocam", {}, 20),
        ("reciprocam", {"chunk": 6}, 20),
        ("occlusion", {}, 20),
        ("occlusion", {"patch": 2, "stride": 2}, 6),
        ("rise", {"masks": 7}, 7),
        ("rise", {"masks": 7, "chunk": 3}, 7),
    ],
)
def test_passes_of_the_head(name, options, passes):
    probe, picture, *_ = halved(dtype=np.float32)  # 4 x 5 positions
    probe, seen = counted(*probe.parameters)
    jax.jit(lambda x: jaxcam.METHODS[name](probe, x, 1, **options))(picture)
    jax.effects_barrier()
    assert len(seen) == 1 + passes


@pytest.mark.parametrize(
    ("name", "options"),
    [("reciprocam", {"chunk": 25}), ("occlusion", {"chunk": 25}), ("rise", {"masks": 25, "chunk": 25})],
)
def test_the_trunk_runs_once(name, options):
    trunk = jnp.ones((50 * 50 * 3, 5 * 5 * 12))

    def features(x):
        return (x.reshape(1, -1) @ trunk).reshape(1, 5, 5, 12)

    probe = jaxcam.probe(split=(features, lambda a: jnp.mean(a, axis=(1, 2))))
    image = jax.ShapeDtypeStruct((50, 50, 3), jnp.float32)
    flops = [
        jax.jit(function).lower(probe, image).compile().cost_analysis()["flops"]
        for function in (
            lambda p, x: p(x)[0],
            functools.partial(jaxcam.METHODS[name], target=0, **options),
        )
    ]
    assert flops[1] < 1.04 * flops[0]  # drawing masks costs as much as this small head


def test_memory_does_not_grow_with_the_masks():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(jnp.tanh(a), axis=(1, 2))))

    def temporaries(masks):
        run = jax.jit(lambda p, x: jaxcam.rise(p, x, 0, masks=masks, chunk=8))
        image = jax.ShapeDtypeStruct((32, 32, 3), jnp.float32)
        return run.lower(probe, image).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(512) - temporaries(64) < 448 * 32 * 32  # less than a byte for each mask's pixel


@pytest.mark.parametrize("name", NAMES)
def test_at_the_input_the_map_is_of_its_size(name):
    probe, picture = jaxcam.probe(Small(), jaxcam.INPUT), images(1)[0]
    found = jax.eval_shape(lambda: jaxcam.METHODS[name](probe, picture, 1))
    assert found.shape == (12, 14)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("reciprocam", {"spread": "maks"}, "no spread 'maks'; did you mean 'mask'"),
        ("reciprocam", {"score": "logits"}, "no score 'logits'; did you mean 'logit'"),
        ("occlusion", {"patch": 7}, r"patch must be one number.* at most \(6, 7\); got 7"),
        ("occlusion", {"patch": (2, 2, 2)}, r"one for each of the layer's 2 axes.* got \(2, 2, 2\)"),
        ("occlusion", {"patch": 2, "stride": 3}, r"stride must be one number.* at most \(2, 2\); got 3"),
        ("occlusion", {"patch": 0}, "patch must be a whole number of at least 1; got 0"),
        ("rise", {"masks": 0}, "masks must be a whole number of at least 1; got 0"),
        ("rise", {"cells": 1.5}, "cells must be a whole number of at least 1; got 1.5"),
        ("rise", {"probability": 0}, "probability must be a number above 0 and at most 1; got 0"),
        ("rise", {"chunk": 0}, "chunk must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input_is_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.METHODS[name](small(), images(1)[0], 1, **options)
