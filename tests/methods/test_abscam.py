"""Abs-CAM: its formulas once more in NumPy, and what holds for any network, in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from masked import halved, softmax, unit, up
from nets import analytic, images, small

import jaxcam

pytestmark = pytest.mark.usefixtures("x64")


def parts(target=1, **options):
    """Probe, picture, activation (K first), absolute weights, and logits of any image."""
    probe, picture, A, logits = halved(**options)
    G = np.asarray(probe.look(picture, target).gradient)
    return probe, picture, np.moveaxis(A, -1, 0), np.abs(G).mean(axis=(0, 1)), logits


def behind(masks, picture, logits):
    return np.stack([logits(picture * mask[..., None]) for mask in masks])


@pytest.mark.parametrize("target", [0, 3])
def test_phase_1_equals_the_formula(target):
    probe, image, A, G = analytic()
    expected = (np.abs(G[target]).mean(axis=(0, 1)) * A).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.abscam(probe, image, target, phase=1), expected, atol=1e-12)


@pytest.mark.parametrize("score", ["softmax", "logit"])
@pytest.mark.parametrize("merge", ["weighted", "normalised"])
@pytest.mark.parametrize("positive", [True, False], ids=["after a ReLU", "signed"])
def test_phase_2_equals_the_formula(merge, score, positive):
    probe, picture, A, w, logits = parts(positive=positive)
    seen = behind(unit(up(w[:, None, None] * A, picture.shape[:2])), picture, logits)
    y = (softmax(seen) if score == "softmax" else seen)[:, 1]
    linear = w[:, None, None] * A if merge == "weighted" else unit(A)
    raw = jaxcam.abscam(probe, picture, 1, merge=merge, score=score)
    np.testing.assert_allclose(raw, np.tensordot(y, linear, 1), atol=1e-12)


def test_single_is_phase_1_of_the_image_behind_its_map():
    probe, picture, A, w, _ = parts()
    mask = unit(up(np.tensordot(w, A, 1), picture.shape[:2]))
    expected = jaxcam.abscam(probe, picture * mask[..., None], 1, phase=1)
    np.testing.assert_allclose(jaxcam.abscam(probe, picture, 1, merge="single"), expected, atol=1e-12)


def test_phase_1_is_blind_to_the_sign_of_the_score():
    probe, picture, *_ = parts()
    up_, down = (
        jaxcam.abscam(probe, picture, target, phase=1) for target in (lambda y: y[1], lambda y: -y[1])
    )
    np.testing.assert_array_equal(up_, down)


def test_phase_1_of_activations_of_one_sign_has_that_sign():
    probe, picture, *_ = parts(positive=True)
    assert (jaxcam.abscam(probe, picture, 1, phase=1) >= 0).all()


def test_weights_are_at_least_gradcams_in_size():
    probe, image, A, G = analytic()
    for k in range(A.shape[-1]):
        signed = np.asarray(jaxcam.gradcam(probe, image, 2, fuse=lambda e, k=k: e[..., k])) / A[..., k]
        absolute = jaxcam.abscam(probe, image, 2, phase=1, fuse=lambda e, k=k: e[..., k]) / A[..., k]
        np.testing.assert_allclose(absolute, np.abs(G[2][..., k]).mean(), atol=1e-12)
        assert (absolute > np.abs(signed) + 1e-6).all()  # gradients of both signs cancel in Grad-CAM's mean


def test_phase_1_is_gradcam_where_all_gradients_are_positive():
    rng = np.random.default_rng(0)
    V = jnp.asarray(rng.uniform(size=(4, 5, 6)))
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.sum(a * V[None], axis=(1, 2, 3))[:, None]))
    image = jnp.asarray(rng.normal(size=(4, 5, 6)))
    np.testing.assert_allclose(
        jaxcam.abscam(probe, image, 0, phase=1), jaxcam.gradcam(probe, image, 0), atol=1e-12
    )


def test_phase_1_of_a_pooled_linear_head_weighs_by_the_classifiers_size():
    rng = np.random.default_rng(0)
    A, W = rng.normal(size=(4, 5, 6)), rng.normal(size=(6, 3))
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)) @ jnp.asarray(W)))
    expected = (A * np.abs(W[:, 1]) / 20).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.abscam(probe, jnp.asarray(A), 1, phase=1), expected, atol=1e-12)


def test_the_normalised_merge_does_not_depend_on_the_weights():
    probe, picture, *_ = parts()
    features, head = probe.parameters
    gains = jnp.linspace(0.1, 3, 6)[None, None, None]
    # the head undoes the gain, so the outputs are the same and the weights are not
    other = jaxcam.probe(split=(lambda x: features(x) * gains, lambda a: head(a / gains)))
    before, after = (jaxcam.abscam(each, picture, 1, merge="normalised") for each in (probe, other))
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_the_weighted_merge_of_equal_weights_is_scorecams():
    probe, picture, _A, _, _ = parts()
    features, head = probe.parameters
    image_head = lambda a: head(a) * 0 + jnp.sum(a) * jnp.array([[0.3, 0.5, 0.1]])  # noqa: E731
    even = jaxcam.probe(split=(features, image_head))
    w = float(np.abs(np.asarray(even.look(picture, 1).gradient)).mean())
    ours = jaxcam.abscam(even, picture, 1)
    scores = jaxcam.scorecam(even, picture, 1, weights="probability", align_corners=False)
    np.testing.assert_allclose(ours, w * scores, atol=1e-12)


def test_a_channel_without_gradient_is_left_out():
    probe, picture, *_ = parts()
    features, head = probe.parameters
    blind = jaxcam.probe(
        split=(lambda x: jnp.concatenate([features(x), features(x) ** 2], -1), lambda a: head(a[..., :6]))
    )
    for merge in ("weighted", "normalised"):
        np.testing.assert_allclose(
            jaxcam.abscam(blind, picture, 1, merge=merge),
            jaxcam.abscam(probe, picture, 1, merge=merge),
            atol=1e-12,
        )


def test_saturated_probabilities_leave_the_logits_apart():
    probe, picture, _A, _, _ = parts()
    features, head = probe.parameters
    sure = jaxcam.probe(split=(features, lambda a: head(a) + jnp.array([[0.0, 60.0, 0.0]])))

    def share(k, **options):
        """What phase 2 makes of channel k's part of phase 1."""
        first, second = (
            jaxcam.abscam(sure, picture, 1, fuse=lambda e: e[..., k], **each)
            for each in ({"phase": 1}, options)
        )
        return float(jnp.sum(second) / jnp.sum(first))

    np.testing.assert_allclose([share(k) for k in range(6)], 1, atol=1e-12)
    assert np.ptp([share(k, score="logit") for k in range(6)]) > 1e-3


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": 3}, "phase must be 1 or 2; got 3"),
        ({"merge": "weigted"}, "no merge 'weigted'; did you mean 'weighted'"),
        ({"score": "logits"}, "no score 'logits'; did you mean 'logit'"),
        ({"baseline": "none"}, "no baseline 'none'"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.abscam(small(), images(1)[0], 1, **options)
