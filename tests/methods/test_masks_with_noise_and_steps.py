"""SS-CAM, IS-CAM and RandomCAM, once more in NumPy, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import counted, halved, softmax, unit, up
from nets import images, small

import jaxcam

double = pytest.mark.usefixtures("x64")


def rows(activation):
    return np.moveaxis(activation, -1, 0)


def fused(A, scores, weights):
    """The map from scores `(K, passes, classes)` of class 1."""
    by_channel = softmax(scores[..., 1].mean(axis=1))
    w = by_channel if weights == "channels" else softmax(scores)[..., 1].mean(axis=1)
    return (A * w).sum(axis=-1)


@double
@pytest.mark.parametrize("weights", ["channels", "probability"])
@pytest.mark.parametrize("noise", ["mask", "input"])
def test_sscam_equals_the_formula(noise, weights):
    probe, picture, A, logits = halved()
    masks, key = up(unit(rows(A)), picture.shape[:2]), jax.random.key(3)
    shape = (*picture.shape[:2], 1 if noise == "mask" else 3)
    draw = jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), shape, jnp.float64))
    scores = np.zeros((6, 4, 3))
    for number, drawn in enumerate(0.7 * np.asarray(jax.jit(draw)(jnp.arange(6 * 4)))):
        mask = masks[number // 4][..., None]
        seen = picture * (mask + drawn) if noise == "mask" else picture * mask + drawn
        scores[number // 4, number % 4] = logits(seen)
    raw = jax.jit(
        lambda x: jaxcam.sscam(probe, x, 1, samples=4, sigma=0.7, noise=noise, weights=weights, key=key)
    )(picture)
    np.testing.assert_allclose(raw, fused(A, scores, weights), atol=1e-12)


@double
@pytest.mark.parametrize("weights", ["channels", "probability"])
@pytest.mark.parametrize("path", ["cumulative", "linear"])
def test_iscam_equals_the_formula(path, weights):
    probe, picture, A, logits = halved()
    masks = up(unit(rows(A)), picture.shape[:2])
    strengths = {"cumulative": [0.25, 0.75, 1.5, 2.5], "linear": [0.25, 0.5, 0.75, 1.0]}[path]
    scores = np.array([[logits(c * picture * mask[..., None]) for c in strengths] for mask in masks])
    raw = jax.jit(lambda x: jaxcam.iscam(probe, x, 1, steps=4, path=path, weights=weights))(picture)
    np.testing.assert_allclose(raw, fused(A, scores, weights), atol=1e-12)


@double
def test_without_noise_or_path_they_are_scorecam_of_masks_scaled_before_they_are_enlarged():
    probe, picture, A, logits = halved()
    masks = up(unit(rows(A)), picture.shape[:2])
    w = softmax(np.array([logits(picture * mask[..., None])[1] for mask in masks]))
    for method in (
        functools.partial(jaxcam.sscam, samples=2, sigma=0),
        functools.partial(jaxcam.iscam, steps=1),
    ):
        raw = jax.jit(method)(probe, picture, 1)
        np.testing.assert_allclose(raw, (A * w).sum(axis=-1), atol=1e-12)


def test_draws_are_those_of_the_key():
    probe, picture = small(), images(1)[0]
    run = jax.jit(lambda key: jaxcam.sscam(probe, picture, 1, samples=2, key=key))
    first, other = run(jax.random.key(0)), run(jax.random.key(1))
    assert np.abs(first - other).max() > 1e-4
    np.testing.assert_array_equal(first, jax.jit(lambda: jaxcam.sscam(probe, picture, 1, samples=2))())


@pytest.mark.parametrize(
    ("name", "options", "passes"),
    [("sscam", {"samples": 3}, 18), ("sscam", {"samples": 3, "chunk": 4}, 18), ("iscam", {"steps": 2}, 12)],
)
def test_forward_passes(name, options, passes):
    probe, picture, *_ = halved(dtype=np.float32)
    probe, seen = counted(*probe.parameters)
    jax.jit(lambda x: jaxcam.METHODS[name](probe, x, 1, **options))(picture)
    jax.effects_barrier()
    assert len(seen) == 1 + passes


def test_memory_does_not_grow_with_the_draws():
    def temporaries(samples):
        image = jax.ShapeDtypeStruct((32, 32, 3), jnp.float32)
        kernel = jnp.ones((3, 8))
        probe = jaxcam.probe(split=(lambda x: x[:, ::4, ::4] @ kernel, lambda a: jnp.mean(a, axis=(1, 2))))
        run = jax.jit(lambda p, x: jaxcam.sscam(p, x, 0, samples=samples, chunk=8))
        return run.lower(probe, image).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(64) - temporaries(16) < 48 * 8 * 32 * 32  # less than a byte for each mask's pixel


@double
def test_randomcam_weighs_by_chance():
    probe, picture, A, _ = halved()
    key = jax.random.key(5)
    w = np.asarray(jax.random.uniform(key, (6,), jnp.float64, -1, 1))
    np.testing.assert_allclose(jaxcam.randomcam(probe, picture, 1, key=key), (A * w).sum(axis=-1), atol=1e-12)
    assert np.abs(jaxcam.randomcam(probe, picture) - jaxcam.randomcam(probe, picture, key=key)).max() > 0.01


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sscam", {"samples": 0}, "samples must be a whole number of at least 1; got 0"),
        ("sscam", {"sigma": -1}, "sigma must be a number of at least 0; got -1"),
        ("sscam", {"noise": "msk"}, "no noise 'msk'; did you mean 'mask'"),
        ("sscam", {"weights": "chanels"}, "no weights 'chanels'; did you mean 'channels'"),
        ("iscam", {"steps": 2.5}, "steps must be a whole number of at least 1; got 2.5"),
        ("iscam", {"path": "cumulativ"}, "no path 'cumulativ'; did you mean 'cumulative'"),
    ],
)
def test_bad_input_is_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.METHODS[name](small(), images(1)[0], 1, **options)
