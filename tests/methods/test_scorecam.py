"""Score-CAM, Ablation-CAM and the masked scoring they share, against NumPy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import counted, halved, softmax, unit, up
from nets import images, small

import jaxcam
from jaxcam import _masks
from jaxcam.devices import _chunks

double = pytest.mark.usefixtures("x64")


def rows(activation):
    return np.moveaxis(activation, -1, 0)


def logits_behind(masks, picture, logits):
    return np.stack([logits(picture * mask[..., None]) for mask in masks])


@double
@pytest.mark.parametrize("positive", [True, False], ids=["after a ReLU", "signed"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("weights", ["channels", "probability"])
def test_equals_the_formula(weights, align_corners, positive):
    probe, picture, A, logits = halved(positive=positive)
    masks = unit(up(rows(A), picture.shape[:2], align_corners=align_corners))
    seen = logits_behind(masks, picture, logits)
    w = softmax(seen[:, 1]) if weights == "channels" else softmax(seen)[:, 1]
    raw = jaxcam.scorecam(probe, picture, 1, weights=weights, align_corners=align_corners)
    np.testing.assert_allclose(raw, (A * w).sum(axis=-1), atol=1e-12)


@double
def test_the_class_is_settled_on_the_whole_image():
    probe, picture, A, logits = halved(seed=2)
    best = int(np.argmax(logits(picture)))
    masks = unit(up(rows(A), picture.shape[:2], align_corners=True))
    assert set(logits_behind(masks, picture, logits).argmax(axis=1)) != {
        best
    }  # or it would make no difference
    for method in (jaxcam.scorecam, jaxcam.ablationcam, jaxcam.abscam, jaxcam.clustercam):
        np.testing.assert_array_equal(method(probe, picture), method(probe, picture, best))


@double
def test_a_callable_is_its_own_score():
    probe, picture, *_ = halved()
    for weights in ("channels", "probability"):
        by_value = jaxcam.scorecam(probe, picture, jaxcam.probability(2), weights=weights)
        assert np.isfinite(by_value).all()
    np.testing.assert_allclose(
        jaxcam.scorecam(probe, picture, jaxcam.probability(2), weights="probability"),
        jaxcam.scorecam(probe, picture, 2, weights="probability"),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        jaxcam.scorecam(probe, picture, lambda output: output[2]),
        jaxcam.scorecam(probe, picture, 2),
        atol=1e-12,
    )


@double
@pytest.mark.parametrize("top", [1, 3, 6])
def test_top_takes_the_channels_that_vary_most(top):
    probe, picture, A, logits = halved()
    best = np.argsort(-A.std(axis=(0, 1)))[:top]
    masks = unit(up(rows(A)[best], picture.shape[:2], align_corners=True))
    w = softmax(logits_behind(masks, picture, logits)[:, 0])
    np.testing.assert_allclose(
        jaxcam.scorecam(probe, picture, 0, top=top), (A[..., best] * w).sum(axis=-1), atol=1e-12
    )


@double
def test_constant_channels_weigh_nothing_and_take_no_share():
    probe, picture, _A, _logits = halved(K=4)
    features, head = probe.parameters

    def with_constants(x):
        a = features(x)
        return jnp.concatenate([a, jnp.full_like(a, 3.0), jnp.zeros_like(a)], axis=-1)

    wider = jaxcam.probe(split=(with_constants, lambda a: head(a[..., :4])))
    for method in (jaxcam.scorecam, jaxcam.abscam, jaxcam.clustercam):
        np.testing.assert_allclose(method(wider, picture, 1), method(probe, picture, 1), atol=1e-12)


@double
@pytest.mark.parametrize("chunk", [1, 4, 5, 6, 100])
def test_chunk_does_not_change_the_map(chunk):
    probe, picture, *_ = halved()
    for method in (jaxcam.scorecam, jaxcam.ablationcam, jaxcam.abscam):
        np.testing.assert_allclose(
            method(probe, picture, 1, chunk=chunk), method(probe, picture, 1), atol=1e-12
        )
    one, other = (jaxcam.clustercam(probe, picture, 1, clusters=5, chunk=each) for each in (chunk, None))
    np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "expected", "options"),
    [
        ("scorecam", 1 + 6, {}),
        ("scorecam", 1 + 6, {"chunk": 4}),
        ("scorecam", 1 + 2, {"top": 2}),
        ("ablationcam", 1 + 6, {}),
        ("abscam", 1 + 6, {}),
        ("abscam", 1, {"phase": 1}),
        ("abscam", 2, {"merge": "single"}),
        ("clustercam", 1 + 3, {"clusters": 3}),
        ("clustercam", 1 + 5, {"clusters": 5, "chunk": 2}),
        ("clustercam", 1 + 6, {}),
    ],
)
def test_forward_passes(name, expected, options):
    probe, picture, *_ = halved(dtype=np.float32)
    probe, seen = counted(*probe.parameters)
    jaxcam.METHODS[name](probe, picture, 1, **options)
    jax.effects_barrier()
    assert len(seen) == expected


def test_memory_does_not_grow_with_the_channels():
    assert _chunks.default_chunk((224, 224, 3)) == 16
    assert _chunks.default_chunk((448, 448, 3)) == 4
    assert _chunks.default_chunk((4000, 4000, 3)) == 1
    assert _chunks.default_chunk((224, 224, 3), images=4) == 4
    assert _chunks.default_chunk((224, 224, 3), images=100) == 1

    def temporaries(channels):
        image = jax.ShapeDtypeStruct((32, 32, 3), jnp.float32)
        kernel = jnp.ones((3, channels))
        probe = jaxcam.probe(split=(lambda x: x[:, ::4, ::4] @ kernel, lambda a: jnp.mean(a, axis=(1, 2))))
        run = jax.jit(lambda p, x: jaxcam.scorecam(p, x, 0, chunk=8))
        return run.lower(probe, image).compile().memory_analysis().temp_size_in_bytes

    few, many = temporaries(64), temporaries(256)
    assert many - few < 192 * 32 * 32 * 4  # less than the masks that were added


def test_explain_takes_fewer_masks_at_once_of_more_images():
    seen = []

    def method(probe, image, target=None, *, chunk=None):
        seen.append(chunk)
        return jaxcam.gradcam(probe, image, target)

    for count in (1, 3):
        jaxcam.explain(small(), images(count), 0, method=method)
    jaxcam.explain(small(), images(3), 0, method=method, chunk=5)
    assert seen == [_chunks.ON_CPU // (12 * 14), _chunks.ON_CPU // (12 * 14 * 3), 5]


@double
def test_upsampling_and_blur():
    maps = np.random.default_rng(0).normal(size=(2, 4, 5))
    np.testing.assert_allclose(
        _masks.resize_corners(jnp.asarray(maps), (9, 13)), up(maps, (9, 13), align_corners=True), atol=1e-12
    )
    np.testing.assert_allclose(_masks.resize_corners(jnp.asarray(maps), (4, 5)), maps, atol=1e-12)
    np.testing.assert_allclose(
        _masks.resize_corners(jnp.asarray(maps[:, :1, :1]), (3, 2)).std(), maps[:, 0, 0].std()
    )
    image = np.random.default_rng(0).normal(size=(14, 12, 3))
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 5) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, ((5, 5), (5, 5), (0, 0)))
    expected = np.zeros_like(image)
    for r, c in np.ndindex(11, 11):
        expected += kernel[r] * kernel[c] * padded[r : r + 14, c : c + 12]
    np.testing.assert_allclose(_masks.blur(jnp.asarray(image)), expected, atol=1e-12)


@double
def test_blurred_baseline():
    probe, picture, A, logits = halved()
    soft = np.asarray(_masks.blur(jnp.asarray(picture)))
    masks = unit(up(rows(A), picture.shape[:2], align_corners=True))[..., None]
    seen = np.stack([logits(picture * mask + soft * (1 - mask)) for mask in masks])
    expected = (A * softmax(seen[:, 1])).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.scorecam(probe, picture, 1, baseline="blur"), expected, atol=1e-12)
    changed = jaxcam.abscam(probe, picture, 1, baseline="blur") - jaxcam.abscam(probe, picture, 1)
    assert np.abs(changed).max() > 1e-6


@double
def test_ablationcam_equals_the_formula():
    probe, picture, A, _ = halved()
    head = lambda a: np.asarray(probe.parameters[1](jnp.asarray(a)[None])[0])  # noqa: E731
    whole = head(A)[2]
    left = [head(np.where(np.arange(A.shape[-1]) == k, 0, A))[2] for k in range(A.shape[-1])]
    w = (whole - np.array(left)) / whole
    np.testing.assert_allclose(jaxcam.ablationcam(probe, picture, 2), (A * w).sum(axis=-1), atol=1e-12)


@double
def test_ablationcam_of_a_pooled_linear_head_has_a_closed_form():
    rng = np.random.default_rng(0)
    A, W = rng.uniform(size=(4, 5, 6)), rng.normal(size=(6, 3))
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)) @ jnp.asarray(W)))
    pooled = A.mean(axis=(0, 1))
    for c in range(3):
        w = W[:, c] * pooled / (pooled @ W[:, c])
        np.testing.assert_allclose(
            jaxcam.ablationcam(probe, jnp.asarray(A), c), (A * w).sum(axis=-1), atol=1e-12
        )


@double
def test_ablationcam_of_a_score_of_zero():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)) @ jnp.array([[1.0], [-1.0]])))
    raw = jaxcam.ablationcam(probe, jnp.ones((2, 2, 2)) * jnp.arange(1.0, 5.0).reshape(2, 2, 1), 0)
    assert np.isfinite(raw).all()


def test_ablationcam_runs_the_trunk_once():
    trunk = jnp.ones((50 * 50 * 3, 5 * 5 * 12))

    def features(x):
        return (x.reshape(1, -1) @ trunk).reshape(1, 5, 5, 12)

    probe = jaxcam.probe(split=(features, lambda a: jnp.mean(a, axis=(1, 2))))
    image = jax.ShapeDtypeStruct((50, 50, 3), jnp.float32)
    flops = [
        jax.jit(function).lower(probe, image).compile().cost_analysis()["flops"]
        for function in (lambda p, x: p(x)[0], functools.partial(jaxcam.ablationcam, target=0, chunk=12))
    ]
    assert flops[1] < 1.01 * flops[0]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("scorecam", {"weights": "chanels"}, "no weights 'chanels'; did you mean 'channels'"),
        ("scorecam", {"baseline": "blurr"}, "no baseline 'blurr'; did you mean 'blur'"),
        ("scorecam", {"top": 0}, "from 1 to the layer's 12; got 0"),
        ("scorecam", {"top": 13}, "from 1 to the layer's 12; got 13"),
        ("scorecam", {"chunk": 0}, "chunk must be a whole number of at least 1; got 0"),
        ("scorecam", {"chunk": 2.5}, "chunk must be a whole number of at least 1; got 2.5"),
        ("ablationcam", {"chunk": -1}, "chunk must be a whole number of at least 1; got -1"),
    ],
)
def test_bad_input_is_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.METHODS[name](small(), images(1)[0], 1, **options)


def test_an_output_that_is_not_a_vector_needs_a_callable():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: {"mean": jnp.mean(a, axis=(1, 2))}))
    picture = images(1)[0]
    for name in ("scorecam", "ablationcam", "abscam", "clustercam"):
        for target in (None, 0):
            with pytest.raises(ValueError, match="pass a callable target"):
                jaxcam.METHODS[name](probe, picture, target)
        assert jaxcam.METHODS[name](probe, picture, lambda output: output["mean"][0]).shape == (12, 14)
