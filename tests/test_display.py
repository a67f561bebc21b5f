import jax.numpy as jnp
import numpy as np
import pytest

import jaxcam


def test_display_is_relu_minmax_resize():
    raw = jnp.array([[-4.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(jaxcam.display(raw), [[0, 1 / 3], [2 / 3, 1]], atol=1e-6)
    shown = jaxcam.display(raw, size=(5, 9))
    assert shown.shape == (5, 9)
    assert shown.min() == 0
    assert shown.max() == 1


@pytest.mark.parametrize(
    "raw",
    [
        np.zeros((4, 4)),
        np.full((4, 4), 7.3),
        np.full((4, 4), -7.3),
        -np.arange(16.0).reshape(4, 4),
        np.full((4, 4), 7.3) + 1e-7 * np.arange(16).reshape(4, 4),
    ],
    ids=["dead", "constant", "constant negative", "all negative", "constant but for rounding"],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_maps_that_show_nothing_are_zero(raw, dtype):
    np.testing.assert_array_equal(jaxcam.display(jnp.asarray(raw, dtype), size=(8, 8)), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_nan(bad):
    maps = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    maps[0, 1, 2] = bad
    for shown in (jaxcam.display(maps, size=(8, 8)), jaxcam.display(maps), jaxcam.normalise(maps)):
        assert np.isnan(shown[0]).all()
        assert np.isfinite(shown[1]).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e30])
def test_normalise_does_not_depend_on_scale(scale):
    maps = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)) * scale, jnp.float32)
    normal = jaxcam.normalise(maps)
    np.testing.assert_allclose(normal.min(axis=(1, 2)), 0)
    np.testing.assert_allclose(normal.max(axis=(1, 2)), 1)
    np.testing.assert_allclose(normal, jaxcam.normalise(maps / np.float32(scale)), atol=1e-6)


def test_resize_has_half_pixel_centres():
    # by hand: sample i of 4 lies at (i + 0.5) / 2 - 0.5 of 2, clamped to the edge
    line = jaxcam.resize(jnp.array([[0.0, 1.0]]), (1, 4))
    np.testing.assert_allclose(line, [[0, 0.25, 0.75, 1]], atol=1e-6)


def test_overlay_mixes_picture_and_colours():
    picture = np.full((2, 3, 3), 200, np.uint8)
    shown = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(jaxcam.overlay(picture, shown, alpha=0), picture)
    mixed = jaxcam.overlay(picture, shown)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed, jaxcam.overlay(picture / 255, jnp.asarray(shown)))
    red = jaxcam.overlay(picture, np.ones_like(shown), alpha=1, colormap="jet")
    assert red[0, 0].tolist() == [128, 0, 0]  # RGB: the hot end of jet is red


@pytest.mark.parametrize(
    ("picture", "shown", "options", "message"),
    [
        (np.zeros((2, 2, 3)), np.zeros((3, 2)), {}, r"got \(2, 2, 3\) and \(3, 2\)"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {}, "picture"),
        (np.full((2, 2, 3), 7.0), np.zeros((2, 2)), {}, "picture's values"),
        (np.zeros((2, 2, 3)), np.full((2, 2), -1.0), {}, "map's values"),
        (np.zeros((2, 2, 3)), np.zeros((2, 2)), {"alpha": 2}, "alpha"),
        (np.zeros((2, 2, 3)), np.zeros((2, 2)), {"colormap": "turboo"}, "did you mean 'turbo'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_overlay_of_what_does_not_fit(picture, shown, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.overlay(picture, shown, **options)
