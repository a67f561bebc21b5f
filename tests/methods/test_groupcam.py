"""Group-CAM, once more in NumPy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import counted, halved, softmax, unit, up
from nets import images, small

import jaxcam
from jaxcam import _masks

double = pytest.mark.usefixtures("x64")


def blurred(picture):
    """51 x 51, deviation 50, mirrored at the border, tap by tap."""
    kernel = np.exp(-0.5 * (np.arange(-25, 26) / 50) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        side = picture.shape[axis]
        turn = 2 * (side - 1)
        total = np.zeros_like(picture)
        for step, share in zip(range(-25, 26), kernel, strict=True):
            at = (np.arange(side) + step) % turn
            total += share * np.take(picture, np.where(at < side, at, turn - at), axis=axis)
        picture = total
    return picture


def by_formula(probe, picture, A, logits, labels, *, percentile, merge, score, fill):
    read = (lambda x: softmax(logits(x))[1]) if score == "softmax" else (lambda x: logits(x)[1])
    G = np.asarray(jax.jit(lambda x: probe.look(x, 1).gradient)(picture))
    evidence = G.mean(axis=(0, 1)) * A
    total = np.zeros(A.shape[:2])
    for group in np.unique(labels):
        S = np.maximum(evidence[..., labels == group].sum(axis=-1), 0)
        if percentile is not None:
            S = np.where(np.percentile(S, percentile) < S, S, 0)
        if S.max() == S.min():
            continue
        m = unit(up(S, picture.shape[:2]))[..., None]
        gain = max(0, read(picture * m + fill * (1 - m)) - read(fill))
        total += gain * (S if merge == "weighted" else unit(S))
    return total


@double
@pytest.mark.parametrize(
    ("groups", "labels", "options"),
    [
        (3, [0, 0, 1, 1, 2, 2], {}),
        (4, [0, 0, 1, 1, 2, 2], {"score": "logit"}),  # as torch's chunk: of two, so three of them
        (5, [0, 0, 1, 1, 2, 2], {"percentile": 70, "merge": "normalised", "score": "logit"}),
        (32, [0, 1, 2, 3, 4, 5], {"baseline": "zero", "score": "logit"}),
    ],
)
def test_equals_the_formula(groups, labels, options):
    probe, picture, A, logits = halved(seed=3)
    settings = {"percentile": None, "merge": "weighted", "score": "softmax"} | options
    fill = np.zeros_like(picture) if settings.pop("baseline", "") == "zero" else blurred(picture)
    expected = by_formula(probe, picture, A, logits, np.array(labels), fill=fill, **settings)
    assert expected.max() > 0.001
    raw = jax.jit(lambda x: jaxcam.groupcam(probe, x, 1, groups=groups, **options))(picture)
    np.testing.assert_allclose(raw, expected, atol=1e-12)


@double
def test_groups_by_kmeans():
    probe, picture, A, logits = halved(seed=3)
    gradient = jax.jit(lambda x: probe.look(x, 1).gradient)(picture)
    points = np.moveaxis(np.asarray(gradient).mean(axis=(0, 1)) * A, -1, 0).reshape(6, -1)
    key = jax.random.key(2)
    labels = np.asarray(jaxcam.kmeans(points, 3, key=key, restarts=4, iterations=30).labels)
    settings = {"percentile": None, "merge": "weighted", "score": "logit", "fill": blurred(picture)}
    expected = by_formula(probe, picture, A, logits, labels, **settings)
    options = {"groups": 3, "grouping": "kmeans", "score": "logit", "key": key}
    raw = jax.jit(lambda x: jaxcam.groupcam(probe, x, 1, **options))(picture)
    np.testing.assert_allclose(raw, expected, atol=1e-12)


@double
@pytest.mark.parametrize("shape", [(60, 9, 2), (7, 1, 3)], ids=["larger than its reach", "of one column"])
def test_mirrored_blur(shape):
    picture = np.random.default_rng(0).normal(size=shape)
    found = _masks.blur(jnp.asarray(picture), reach=25, deviation=50.0, mirrored=True)
    expected = blurred(picture) if shape[1] > 1 else blurred(np.repeat(picture, 2, axis=1))[:, :1]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("options", "passes"), [({"groups": 3}, 3), ({"chunk": 2}, 6)])
def test_forward_passes(options, passes):
    probe, picture, *_ = halved(dtype=np.float32)
    probe, seen = counted(*probe.parameters)
    jax.jit(lambda x: jaxcam.groupcam(probe, x, 1, **options))(picture)
    jax.effects_barrier()
    assert len(seen) == 2 + passes


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups must be a whole number of at least 1; got 0"),
        ({"grouping": "chunk"}, "no grouping 'chunk'; did you mean 'chunks'"),
        ({"percentile": 101}, "percentile must be a number from 0 to 100, or None; got 101"),
        ({"merge": "normalized"}, "no merge 'normalized'; did you mean 'normalised'"),
        ({"baseline": "blurr"}, "no baseline 'blurr'; did you mean 'blur'"),
        ({"score": "logits"}, "no score 'logits'; did you mean 'logit'"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.groupcam(small(), images(1)[0], 1, **options)
