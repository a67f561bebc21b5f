from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import analytic, images, small
from selection import CORE, exhaustive

import jaxcam
from jaxcam import METHODS, _explain

BATCH = images(4)
SOME = ("gradcam", "scorecam", "eigencam", "clustercam", "conceptorcam")  # a method of each kind


def loop(probe, batch, targets, method, **options):
    return np.stack(
        [method(probe, jnp.asarray(x), t, **options) for x, t in zip(batch, targets, strict=True)]
    )


# Where more than 2e-6 is rounding: Conceptor-CAM's anchor multiplies it by up to 9. Ablation-CAM divides the
# difference of two logits by a third, -0.18 for one of these images, and adds up the channels: a unit in the last
# place of a logit, 1.2e-7, makes up to 1e-5 in a map of size 8.
ROUNDING = {"conceptorcam": 5e-6, "ablationcam": 1e-5}


@pytest.mark.parametrize("name", CORE)
def test_equals_a_loop_over_images(name):
    probe = small()
    targets = [0, 4, 2, 1]
    raw = loop(probe, BATCH, targets, METHODS[name])
    np.testing.assert_allclose(
        jaxcam.explain(probe, BATCH, targets, method=name, raw=True),
        raw,
        rtol=1e-6,
        atol=ROUNDING.get(name, 2e-6),
    )
    shown = jaxcam.explain(probe, BATCH, targets, method=METHODS[name])
    np.testing.assert_allclose(shown, jaxcam.display(raw, size=(12, 14)), atol=2e-5)
    assert shown.shape == (4, 12, 14)


def test_several_classes_from_one_forward():
    probe = small("deep")
    targets = np.array([[0, 1], [2, 3], [4, 0], [1, 1]])
    maps = jaxcam.explain(probe, BATCH, targets, method=jaxcam.layercam)
    assert maps.shape == (4, 2, 12, 14)
    for column in (0, 1):
        alone = jaxcam.explain(probe, BATCH, targets[:, column], method=jaxcam.layercam)
        np.testing.assert_allclose(maps[:, column], alone, atol=1e-6)


def test_top_classes_and_output_come_together():
    probe = small()
    maps, output = jaxcam.explain(probe, BATCH, jaxcam.top(2), with_output=True)
    assert output.shape == (4, 5)
    best = np.argsort(-np.asarray(output), axis=1)[:, :2]
    np.testing.assert_allclose(maps, jaxcam.explain(probe, BATCH, best), atol=1e-6)
    np.testing.assert_allclose(maps[:, 0], jaxcam.explain(probe, BATCH), atol=1e-6)


def test_callable_targets_one_or_one_per_image():
    probe = small()
    shared = jaxcam.explain(probe, BATCH, lambda output: output[3], raw=True)
    np.testing.assert_allclose(shared, jaxcam.explain(probe, BATCH, 3, raw=True), atol=1e-6)
    made = [jaxcam.difference(c, 0) for c in (1, 2, 3, 4)]
    each = jaxcam.explain(probe, BATCH, made, raw=True)
    np.testing.assert_allclose(each[2], jaxcam.gradcam(probe, BATCH[2], made[2]), atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 4, 9])
def test_chunk_does_not_change_the_maps(chunk):
    probe = small()
    whole = jaxcam.explain(probe, BATCH, [0, 1, 2, 3])
    np.testing.assert_allclose(jaxcam.explain(probe, BATCH, [0, 1, 2, 3], chunk=chunk), whole, atol=1e-6)
    whole = jaxcam.explain(probe, BATCH)
    np.testing.assert_allclose(jaxcam.explain(probe, BATCH, chunk=chunk), whole, atol=1e-6)


def test_size():
    probe = small()
    assert jaxcam.explain(probe, BATCH, size=(20, 30)).shape == (4, 20, 30)
    assert jaxcam.explain(probe, BATCH, size=9).shape == (4, 9, 9)
    assert jaxcam.explain(probe, BATCH, raw=True).shape == (4, 6, 7)


def test_second_call_and_second_probe_do_not_compile_again():
    compiled = _explain._explain._cache_size
    jaxcam.explain(small(seed=0), BATCH, [0, 1, 2, 3], method=jaxcam.xgradcam)
    before = compiled()
    jaxcam.explain(small(seed=1), BATCH[::-1], [3, 2, 1, 0], method=jaxcam.xgradcam)
    assert compiled() == before
    jaxcam.explain(small(seed=1), BATCH, [3, 2, 1, 0], method=jaxcam.xgradcam, size=11)
    assert compiled() == before + 1


def test_array_options_are_arguments_of_the_program():
    probe = small()
    weights = probe.parameters["fc/kernel"]
    jaxcam.explain(probe, BATCH, 1, method=jaxcam.cam, weights=weights)
    before = _explain._explain._cache_size()
    doubled = jaxcam.explain(probe, BATCH, 1, method=jaxcam.cam, weights=2 * weights, raw=True)
    np.testing.assert_allclose(
        doubled, 2 * jaxcam.explain(probe, BATCH, 1, method=jaxcam.cam, raw=True), rtol=1e-5
    )
    jaxcam.explain(probe, BATCH, 1, method=jaxcam.cam, weights=3 * weights)
    assert _explain._explain._cache_size() <= before + 2  # raw, with and without weights; not one a value


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize(
    "kind", exhaustive(["dead", "constant", "negative"], lambda kind: kind != "constant")
)
def test_maps_of_degenerate_layers_are_finite(name, kind):
    fill = {"dead": 0.0, "constant": 2.0, "negative": -1.5}[kind]
    weights = jnp.linspace(-1, 1, 21).reshape(7, 3)
    probe = jaxcam.probe(
        split=(lambda x: jnp.full_like(x, fill), lambda a: jnp.mean(a, axis=(1, 2)) @ weights)
    )
    options = {"weights": weights} if name == "cam" else {}
    told = (
        pytest.warns(jaxcam.MapWarning, match="is zero at every position")
        if kind == "dead"
        else nullcontext()
    )
    with told:
        shown = jaxcam.explain(probe, jnp.zeros((2, 5, 6, 7)), [0, 2], method=name, **options)
    np.testing.assert_array_equal(shown, 0)


@pytest.mark.parametrize("name", exhaustive(CORE, lambda name: name not in SOME))
def test_what_is_not_finite_is_not_a_map(name):
    weights = jnp.linspace(-1, 1, 21).reshape(7, 3)
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a * a, axis=(1, 2)) @ weights))
    options = {"weights": weights} if name == "cam" else {}
    batch = np.random.default_rng(0).uniform(size=(4, 5, 6, 7)).astype(np.float32)
    batch[0, 2, 3, 1], batch[1, 2, 3, 1], batch[2, 2, 3, 1] = np.nan, np.inf, -np.inf
    program = jax.jit(lambda x, y: jaxcam.explain(probe, x, y, method=name, raw=True, **options))
    raw = program(batch, jnp.array([0, 2, 1, 1]))
    shown = jaxcam.display(raw, size=(10, 12))
    for broken in (0, 1, 2):
        assert not np.isfinite(raw[broken]).all()
        assert np.isnan(shown[broken]).all()
    assert np.isfinite(shown[3]).all()
    assert shown[3].max() == pytest.approx(1)
    if name != "eigencam":  # which has no class
        outside = program(batch[3:], jnp.array([3]))
        assert np.isnan(jaxcam.display(outside)).all()


@pytest.mark.parametrize("name", CORE)
def test_bfloat16(name):
    weights = jnp.linspace(-1, 1, 21).reshape(7, 3)

    def probe(dtype):
        return jaxcam.probe(
            split=(lambda x: x, lambda a: jnp.mean(a * a, axis=(1, 2)) @ weights.astype(dtype))
        )

    batch = np.random.default_rng(0).uniform(size=(2, 5, 6, 7)).astype(np.float32)
    options = {"weights": weights} if name == "cam" else {}
    full = jaxcam.explain(probe(jnp.float32), batch, [0, 2], method=name, **options)
    half = jaxcam.explain(
        probe(jnp.bfloat16), jnp.asarray(batch, jnp.bfloat16), [0, 2], method=name, **options
    )
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, full, atol=0.05)


def test_works_under_jit_and_grad():
    probe = small()
    maps = jax.jit(lambda p, x: jaxcam.explain(p, x, jnp.arange(4)))(probe, BATCH)
    np.testing.assert_allclose(maps, jaxcam.explain(probe, BATCH, jnp.arange(4)), atol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(jaxcam.explain(probe, x, 1) ** 2))(jnp.asarray(BATCH))
    assert np.isfinite(slope).all()


def test_any_function_of_the_same_signature_is_a_method():
    def activation_norm(probe, image, target=None, *, power=2):
        return jnp.linalg.norm(probe(image)[1], ord=power, axis=-1)

    maps = jaxcam.explain(small(), BATCH, method=activation_norm, power=1, raw=True)
    expected = np.abs(small()(BATCH[1])[1]).sum(axis=-1)
    np.testing.assert_allclose(maps[1], expected, rtol=1e-5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": BATCH[0]}, ValueError, r"a batch of 12 signals .*images\[None\]"),
        ({"images": BATCH[:0]}, ValueError, "the batch is empty"),
        ({"images": (BATCH * 10).astype(np.uint8)}, TypeError, "got dtype uint8"),
        ({"images": np.where(BATCH > 2, np.nan, BATCH)}, ValueError, "image 0 has a NaN or infinite pixel"),
        ({"images": BATCH[..., :2]}, ValueError, r"images of shape \(12, 14, 2\)"),
        ({"targets": [0, 1, 2]}, ValueError, r"4 images need 4 targets.*got shape \(3,\)"),
        ({"targets": [0, 1, 2, 5]}, ValueError, "no class 5: the model has 5 classes, 0 to 4"),
        ({"targets": -1}, ValueError, "no class -1"),
        ({"targets": "cat"}, TypeError, "got 'cat'"),
        ({"targets": [0.0, 1.0, 2.0, 3.0]}, TypeError, "must be integers"),
        ({"targets": np.zeros((4, 0), int)}, ValueError, "targets must not be empty"),
        ({"targets": [jaxcam.probability(1)] * 3}, ValueError, "4 images need 4 targets; got 3"),
        ({"targets": [lambda o: o[0], lambda o: o[1]] * 2}, TypeError, "must come from one maker"),
        ({"targets": jaxcam.top(6)}, ValueError, r"top\(6\) of a model with 5 classes"),
        ({"method": "gradcm"}, ValueError, "no method 'gradcm'; did you mean 'gradcam'"),
        ({"fuze": 1}, TypeError, "no option 'fuze'; did you mean 'fuse'"),
        ({"size": (0, 4)}, ValueError, "size must be"),
        ({"size": 4, "raw": True}, ValueError, "not both"),
        ({"chunk": 0}, ValueError, "chunk must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"probe": small(), "images": BATCH} | change
    with pytest.raises(error, match=message):
        jaxcam.explain(
            arguments.pop("probe"), arguments.pop("images"), arguments.pop("targets", None), **arguments
        )


def test_model_without_logits_needs_a_callable():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: {"mean": jnp.mean(a, axis=(1, 2))}))
    for targets in (None, 0, jaxcam.top(1)):
        with pytest.raises(ValueError, match="pass a callable target"):
            jaxcam.explain(probe, BATCH, targets)
    assert jaxcam.explain(probe, BATCH, lambda output: output["mean"][0]).shape == (4, 12, 14)


def test_analytic_probe_is_what_it_says(x64):
    probe, image, A, G = analytic()
    look = probe.look(image, 2)
    np.testing.assert_allclose(look.activation, A)
    np.testing.assert_allclose(look.gradient, G[2])
