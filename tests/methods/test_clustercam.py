"""Cluster-CAM: its merges once more in NumPy, and what holds whatever the network, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import counted, halved, planted, softmax, unit, up
from nets import images, small
from selection import exhaustive

import jaxcam
from jaxcam.methods import _clustercam

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)


def scores_of(probe, picture, masks, logits, score):
    """Scores of class 1 behind masks of the layer's size."""
    seen = np.stack([logits(picture * mask[..., None]) for mask in unit(up(masks, picture.shape[:2]))])
    if score == "softmax":
        return softmax(seen)[:, 1]
    scaled = unit(seen[None, :, 1])[0]
    return scaled - 0.5 * scaled.mean()


def merged(merge, A, masks, labels, s, *, knee=0.25):
    """The map from masks, the cluster of each channel and scores, by the definitions."""
    base, worst = int(np.argmax(s)), int(np.argmin(s))
    if merge == "weighted":
        return np.tensordot(s, masks, 1)
    if merge == "hard":
        return masks[base] - masks[worst]
    B = unit(np.maximum(np.tensordot(s[labels], A, 1), 0)) * (1 - masks[worst])
    return B if knee is None else B / (B + knee)


def channels(activation):
    return np.moveaxis(np.asarray(activation), -1, 0)


MERGES_AND_SCORES = exhaustive(
    itertools.product(_clustercam.MERGES, _clustercam.SCORES),
    lambda case: case[0] != "members-cut" and case[1] != "softmax",
)


@pytest.mark.parametrize(("merge", "score"), MERGES_AND_SCORES)
def test_equals_the_formula(merge, score):
    probe, picture, A, logits = halved()
    A = channels(A)
    found = jaxcam.kmeans(unit(A).reshape(6, -1), 3, key=KEY, restarts=4, iterations=30)
    masks = unit(np.asarray(found.centers).reshape(3, *A.shape[1:]))
    s = scores_of(probe, picture, masks, logits, score)
    expected = merged(merge, A, masks, np.asarray(found.labels), s)
    options = {"clusters": 3, "merge": merge, "score": score, "normalise": "minmax"}
    raw = jaxcam.clustercam(probe, picture, 1, **options)
    np.testing.assert_allclose(raw, expected, atol=1e-12)
    expected = merged(merge, A, masks, np.asarray(found.labels), s, knee=None)
    raw = jaxcam.clustercam(probe, picture, 1, knee=None, **options)
    np.testing.assert_allclose(raw, expected, atol=1e-12)


def test_as_many_clusters_as_channels_are_scorecams_masks_and_scores():
    probe, picture, A, logits = halved()
    options = {"normalise": "raw", "score": "softmax", "knee": None}
    ours = jaxcam.clustercam(probe, picture, 1, clusters=6, **options)
    theirs = jaxcam.scorecam(probe, picture, 1, weights="probability", align_corners=False)
    masks = unit(channels(A))
    worst = masks[np.argmin(scores_of(probe, picture, masks, logits, "softmax"))]
    np.testing.assert_allclose(ours, unit(np.maximum(theirs, 0)) * (1 - worst), atol=1e-12)
    groups = _clustercam.group(
        jnp.asarray(channels(A)), 6, jnp.ones(6, bool), key=None, restarts=4, iterations=30
    )
    np.testing.assert_allclose(
        np.asarray(groups.masks)[np.asarray(groups.labels)], unit(channels(A)), atol=1e-12
    )


@pytest.mark.parametrize("normalise", _clustercam.NORMALISE)
def test_scaled_or_duplicated_channels_leave_the_masks_unchanged(normalise):
    probe, picture, _, which = planted(0)
    A = channels(probe(picture)[1])[: len(which)]

    def masks(A):
        scaled = _clustercam.NORMALISE[normalise](jnp.asarray(A))
        used = jnp.ones(len(A), bool)
        found = _clustercam.group(scaled, 4, used, key=KEY, restarts=8, iterations=30).masks
        return sorted(np.asarray(found).tolist(), key=lambda mask: np.argmax(np.ravel(mask) > 0.5))

    if normalise == "raw":  # where it is channels' sizes that tell them apart, each blob needs one size
        A = np.stack([A[which == b].mean(axis=0) for b in which]) + 0.01 * A
    before = masks(A)
    np.testing.assert_allclose(masks(7.5 * A), before, atol=1e-9)
    np.testing.assert_allclose(masks(np.repeat(A, 2, axis=0)), before, atol=1e-9)
    np.testing.assert_allclose(masks(np.concatenate([A, A])), before, atol=1e-9)


@pytest.mark.parametrize("blob", exhaustive(range(4), lambda blob: blob != 2))
@pytest.mark.parametrize(
    ("merge", "normalise"),
    exhaustive(itertools.product(_clustercam.MERGES, ["minmax"]), lambda case: case[0] != "members-cut"),
)
def test_the_map_lies_on_the_blob_that_the_classifier_reads(merge, normalise, blob):
    probe, picture, squares, _ = planted(blob)
    options = {"clusters": 4, "normalise": normalise, "merge": merge, "knee": None, "restarts": 8}
    options["score"] = "softmax" if merge == "hard" else "contrast"
    raw = np.asarray(explained(probe, picture, **options))
    shown = np.maximum(raw, 0)
    assert shown[squares[blob] == 1].sum() > 0.8 * shown.sum()
    assert np.unravel_index(raw.argmax(), raw.shape) in set(zip(*np.nonzero(squares[blob]), strict=True))


def explained(probe, picture, **options):
    return jaxcam.clustercam(probe, picture, 0, **options)


def test_base_and_scissors():
    s, valid = jnp.array([0.2, 0.9, 0.1, 0.9, 0.1, 5.0, -5.0]), jnp.array([1, 1, 1, 1, 1, 0, 0], bool)
    order = _clustercam.rank(s, valid)
    assert (int(order.base), int(order.scissors), int(order.valid)) == (1, 2, 5)  # of equals, the first
    shifted = _clustercam.rank(s + 100.0, valid)
    assert (int(shifted.base), int(shifted.scissors)) == (1, 2)
    equal = _clustercam.rank(jnp.ones(3), jnp.ones(3, bool))
    assert (int(equal.base), int(equal.scissors)) == (0, 1)


@pytest.mark.parametrize("merge", _clustercam.MERGES)
def test_one_cluster_has_no_scissors(merge):
    probe, picture, A, logits = halved()
    A = channels(A)
    mask = unit(unit(A).mean(axis=0))
    p = scores_of(probe, picture, mask[None], logits, "softmax")[0]
    raw = jaxcam.clustercam(probe, picture, 1, clusters=1, merge=merge, normalise="minmax", score="softmax")
    expected = {
        "weighted": p * mask,
        "members-cut": unit(A.sum(axis=0)) / (unit(A.sum(axis=0)) + 0.25),
        "hard": mask,
    }[merge]
    np.testing.assert_allclose(raw, expected, atol=1e-12)


def test_a_map_that_is_nowhere_above_zero_is_cut_by_its_own_range():
    """Of channels that are negative everywhere: what is least is its zero, and it still tells positions apart."""
    probe, picture, A, _ = halved()
    features, head = probe.parameters
    below = jaxcam.probe(split=(lambda x: -1 - features(x), lambda a: head(-1 - a)))
    options = {"clusters": 1, "score": "softmax", "knee": None}
    raw = np.asarray(jaxcam.clustercam(below, picture, 1, merge="members-cut", **options))
    assert raw.std() > 0.1
    np.testing.assert_allclose(raw, unit((-1 - channels(A)).sum(axis=0)), atol=1e-12)


@pytest.mark.parametrize(
    ("merge", "score"),
    exhaustive(
        [("members-cut", "contrast"), ("weighted", "softmax"), ("hard", "softmax")],
        lambda case: case[0] != "members-cut",
    ),
)
def test_fewer_distinct_channels_than_clusters(merge, score):
    probe, picture, _A, _ = halved(K=3)
    features, head = probe.parameters
    tripled = jaxcam.probe(
        split=(lambda x: jnp.concatenate([features(x)] * 3, -1), lambda a: head(a[..., :3]))
    )
    options = {"merge": merge, "score": score, "normalise": "minmax"}
    few = jaxcam.clustercam(probe, picture, 1, clusters=3, **options)
    many = jaxcam.clustercam(tripled, picture, 1, clusters=7, **options)
    np.testing.assert_allclose(many, few, atol=1e-9)


@pytest.mark.parametrize(("merge", "score"), MERGES_AND_SCORES)
def test_a_dead_layer_gives_a_zero_map(merge, score):
    probe = jaxcam.probe(split=(lambda x: jnp.zeros_like(x), lambda a: jnp.mean(a, axis=(1, 2)) + 1))
    raw = jaxcam.clustercam(probe, jnp.ones((5, 6, 7)), 1, clusters=3, merge=merge, score=score)
    np.testing.assert_array_equal(raw, 0)


def test_the_key_decides_and_the_default_is_fixed():
    probe, picture, *_ = halved(K=12)
    options = {"clusters": 4, "restarts": 1, "iterations": 0}
    default = jaxcam.clustercam(probe, picture, 1, **options)
    np.testing.assert_array_equal(
        default, jaxcam.clustercam(probe, picture, 1, key=jax.random.key(0), **options)
    )
    others = [jaxcam.clustercam(probe, picture, 1, key=jax.random.key(k), **options) for k in range(1, 4)]
    assert any(np.abs(other - default).max() > 1e-6 for other in others)


def test_keys_pass_through_explain():
    batch = images(2)
    keyed = jaxcam.explain(small(), batch, 1, method="clustercam", clusters=4, key=jax.random.key(0))
    np.testing.assert_allclose(
        keyed, jaxcam.explain(small(), batch, 1, method="clustercam", clusters=4), atol=1e-6
    )


def test_work_is_that_of_a_pass_for_each_cluster():
    image = jax.ShapeDtypeStruct((48, 48, 3), jnp.float32)
    kernel = jnp.ones((48 * 48 * 3, 4 * 4 * 64), jnp.float32)
    probe = jaxcam.probe(
        split=(lambda x: (x.reshape(1, -1) @ kernel).reshape(1, 4, 4, 64), lambda a: jnp.mean(a, axis=(1, 2)))
    )
    count = lambda function: jax.jit(function).lower(probe, image).compile().cost_analysis()["flops"]  # noqa: E731
    ratio = count(lambda p, x: jaxcam.clustercam(p, x, 0, clusters=8)) / count(lambda p, x: p(x)[0])
    assert 8.9 < ratio < 9.3


def test_forward_passes_do_not_depend_on_the_channels():
    for K in (6, 24):
        probe, picture, *_ = halved(K=K)
        probe, seen = counted(*probe.parameters)
        jaxcam.clustercam(probe, picture, 1, clusters=4)
        jax.effects_barrier()
        assert len(seen) == 5


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters must be a whole number from 1 to 12, the layer's channels; got 0"),
        ({"clusters": 13}, "from 1 to 12, the layer's channels; got 13"),
        ({"clusters": 3.0}, "got 3.0"),
        ({"clusters": "many"}, "got 'many'"),
        ({"normalise": "min-max"}, "no normalise 'min-max'; did you mean 'minmax'"),
        ({"merge": "hrd"}, "no merge 'hrd'; did you mean 'hard'"),
        ({"score": "sofmax"}, "no score 'sofmax'; did you mean 'softmax'"),
        ({"knee": 0}, "knee must be a number above 0, or None; got 0"),
        ({"knee": float("inf")}, "knee .* got inf"),
        ({"restarts": 0}, "restarts must be a whole number of at least 1; got 0"),
        ({"chunk": 0}, "chunk must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.clustercam(small(), images(1)[0], 1, **options)
