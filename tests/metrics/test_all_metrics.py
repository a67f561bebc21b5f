"""All metrics at once, and what they have in common: one program, chunks, transformations, lowering, errors."""

import inspect
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from metric_cases import case
from selection import exhaustive

import jaxcam
from jaxcam import metrics
from jaxcam.metrics import _confidence

KEY = jax.random.key(0)
BOXES = [[[1, 2, 9, 8]], [[0, 0, 14, 12]], [[3, 3, 6, 5], [10, 1, 12, 4]]]
PROBED = {
    "average_drop": {},
    "drop_at_equal_brightness": {},
    "average_increase": {},
    "average_gain": {},
    "insertion": {"steps": 5},
    "deletion": {"steps": 5},
    "road": {"key": KEY, "percentiles": (30, 70)},
}


def test_equals_the_functions():
    probe, images, targets, maps = case()
    results = metrics.evaluate(
        probe,
        images,
        targets,
        maps,
        metrics=list(metrics.METRICS),
        steps=5,
        key=KEY,
        percentiles=(30, 70),
        boxes=BOXES,
        tolerance=2,
        method="gradcam",
    )
    assert list(results) == list(metrics.METRICS)
    for name, options in PROBED.items():
        alone = getattr(metrics, name)(probe, images, targets, maps, **options)
        np.testing.assert_allclose(results[name], alone, rtol=1e-4, atol=1e-6)
    for name in ("coherency", "adcc"):
        alone = getattr(metrics, name)(probe, images, targets, maps, method="gradcam")
        np.testing.assert_allclose(results[name], alone, atol=1e-5)
    for name in ("complexity", "sparseness", "entropy"):
        np.testing.assert_array_equal(results[name], getattr(metrics, name)(maps))
    np.testing.assert_array_equal(results["pointing_game"], metrics.pointing_game(maps, BOXES, tolerance=2))
    np.testing.assert_array_equal(results["energy_pointing_game"], metrics.energy_pointing_game(maps, BOXES))
    morf, lerf = metrics.road_curves(probe, images, targets, maps, **PROBED["road"])
    clean = metrics.deletion_curve(probe, images, targets, maps, steps=1)[:, 0]
    np.testing.assert_allclose(results["road_morf"], np.mean(morf, axis=1) - clean, atol=1e-6)
    np.testing.assert_allclose(results["road_lerf"], np.mean(lerf, axis=1) - clean, atol=1e-6)


def test_one_metric_and_the_default():
    probe, images, targets, maps = case()
    assert list(metrics.evaluate(probe, images, targets, maps, metrics=["complexity"])) == ["complexity"]
    coherent = metrics.evaluate(probe, images, targets, maps, metrics=["coherency"], method="gradcam")
    np.testing.assert_array_equal(
        coherent["coherency"], metrics.coherency(probe, images, targets, maps, method="gradcam")
    )
    values = metrics.evaluate(probe, images, targets, maps, steps=3)
    assert all(each.shape == (3,) and np.isfinite(each).all() for each in values.values())


@pytest.mark.parametrize("name", PROBED)
def test_equals_a_loop_over_images(name):
    probe, images, targets, maps = case()
    metric = getattr(metrics, name)
    options = PROBED[name] | ({"noise": 0} if name == "road" else {})
    together = metric(probe, images, targets, maps, **options)
    looped = [
        metric(probe, images[i : i + 1], targets[i : i + 1], maps[i : i + 1], **options)[0] for i in range(3)
    ]
    np.testing.assert_allclose(together, looped, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PROBED)
@pytest.mark.parametrize("chunk", exhaustive([1, 2, 7], lambda chunk: chunk != 2))
def test_chunks_do_not_change_the_values(name, chunk):
    probe, images, targets, maps = case()
    metric = getattr(metrics, name)
    whole = metric(probe, images, targets, maps, **PROBED[name])
    np.testing.assert_allclose(
        metric(probe, images, targets, maps, chunk=chunk, **PROBED[name]), whole, rtol=1e-4, atol=1e-6
    )


def test_second_call_does_not_compile_again():
    probe, images, targets, maps = case()
    count = _confidence.run._cache_size
    options = {"metrics": ["average_drop", "road", "insertion"], "steps": 4, "percentiles": [50]}
    metrics.evaluate(probe, images, targets, maps, key=KEY, **options)
    before = count()
    other = case(seed=1)
    metrics.evaluate(*other, key=jax.random.key(7), **options)
    assert count() == before
    metrics.evaluate(*other, key=KEY, **options | {"steps": 5})
    assert count() == before + 1


def test_memory_does_not_grow_with_the_steps():
    probe, images, targets, maps = case()

    def temporary(steps):
        call = jax.jit(lambda *given: metrics.deletion(*given, steps=steps, chunk=8))
        compiled = call.lower(probe, images, jnp.asarray(targets), maps).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = temporary(8), temporary(168)
    assert (
        many - few < 0.02 * 160 * 3 * images[0].nbytes
    )  # of what the 160 more pictures of each image would take


@pytest.mark.parametrize("name", PROBED)
def test_jit_and_vmap(name):
    probe, images, targets, maps = case()
    metric = getattr(metrics, name)
    options = PROBED[name] | ({"noise": 0} if name == "road" else {})
    plain = metric(probe, images, targets, maps, **options)
    call = lambda *arguments: metric(*arguments, **options)  # noqa: E731
    jitted = jax.jit(call)(probe, images, jnp.asarray(targets), maps)
    np.testing.assert_allclose(jitted, plain, rtol=1e-4, atol=1e-6)
    mapped = jax.vmap(call, in_axes=(None, 0, 0, 0))(
        probe, images[:, None], jnp.asarray(targets)[:, None], maps[:, None]
    )
    np.testing.assert_allclose(mapped[:, 0], plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowers_for(platform):
    probe, images, targets, maps = case()
    leaves, structure = jax.tree.flatten(probe)

    def program(leaves, images, targets, maps):
        return metrics.evaluate(
            jax.tree.unflatten(structure, leaves),
            images,
            targets,
            maps,
            metrics=list(metrics.METRICS),
            steps=4,
            key=KEY,
            boxes=BOXES,
            method="gradcam",
        )

    exported = jax.export.export(jax.jit(program), platforms=[platform])(
        leaves, images, jnp.asarray(targets, jnp.int32), maps
    )
    assert exported.platforms == (platform,)
    assert {each.shape for each in exported.out_avals} == {(3,)}


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_what_judges_a_method_or_needs_a_key_lowers_for(platform):
    probe, images, targets, maps = case()
    leaves, structure = jax.tree.flatten(probe)

    def program(leaves, key, images, targets, maps):
        probe = jax.tree.unflatten(structure, leaves)
        given, of_method = (probe, images, targets, maps), {"method": "gradcam", "key": key}
        return (
            metrics.pixel_flipping(*given),
            metrics.infidelity(*given),
            metrics.faithfulness_correlation(*given, key=key, pixels=20),
            metrics.mu_fidelity(*given, key=key),
            metrics.completeness(*given),
            metrics.arcc(*given, **of_method),
            metrics.random_logit(*given[:3], **of_method),
            metrics.max_sensitivity(*given[:3], **of_method),
            metrics.efficient_parameter_randomisation(*given[:3], **of_method),
            *metrics.parameter_randomisation(*given[:3], **of_method)[0],
        )

    exported = jax.export.export(jax.jit(program), platforms=[platform])(
        leaves, KEY, images, jnp.asarray(targets, jnp.int32), maps
    )
    assert {each.shape for each in exported.out_avals} == {(3,)}


def bad(**changes):
    probe, images, targets, maps = case()
    given = {"probe": probe, "images": images, "targets": targets, "maps": maps}
    return metrics.evaluate(**given | {"metrics": ["average_drop"]} | changes)


ONE = np.ones((3, 12, 14), np.float32)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"metrics": ["average_dorp"]}, ValueError, "no metric 'average_dorp'; did you mean 'average_drop'"),
        ({"metrics": "road"}, ValueError, "list of names; got 'road'"),
        ({"metrics": []}, ValueError, "list of names"),
        ({"metrics": ["road"]}, ValueError, "road needs key="),
        ({"metrics": ["pointing_game"]}, ValueError, "pointing_game needs boxes="),
        ({"metrics": ["adcc"]}, ValueError, "adcc needs method="),
        ({"metrics": ["insertion"], "steps": 0}, ValueError, "steps .* got 0"),
        ({"metrics": ["insertion"], "steps": 2.5}, ValueError, "steps .* got 2.5"),
        ({"chunk": 0}, ValueError, "chunk .* got 0"),
        ({"maps": ONE[:2]}, ValueError, "3 images and 2 maps"),
        ({"maps": ONE[:, :6, :7]}, ValueError, r"size \(12, 14\); got \(6, 7\)"),
        ({"maps": ONE[0]}, ValueError, r"maps\[None\]"),
        ({"maps": ONE[:, :0]}, ValueError, "maps must not be empty"),
        ({"maps": ONE * np.nan}, ValueError, r"map 0 has a NaN .*3 of 3"),
        ({"maps": jnp.asarray(ONE).at[1, 2, 3].set(jnp.inf)}, ValueError, "map 1 has a NaN or infinite"),
        ({"maps": -2 * ONE}, ValueError, r"\[0, 1\].* map 0 spans -2 to -2"),
        ({"maps": jnp.asarray(ONE).at[2].set(3)}, ValueError, "map 2 spans 3 to 3"),
        ({"maps": ONE.astype(int)}, TypeError, "int"),
        ({"images": case()[1][0]}, ValueError, r"images\[None\]"),
        ({"images": case()[1] * np.nan}, ValueError, "image 0 has a NaN"),
        ({"images": np.zeros((3, 12, 14, 3), np.uint8)}, TypeError, "uint8"),
        ({"targets": 5}, ValueError, "no class 5: the model has 5 classes"),
        ({"targets": [0, 1]}, ValueError, r"3 images need one target or one each; got shape \(2,\)"),
        ({"targets": [0.5, 1, 2]}, TypeError, "float64"),
        ({"targets": jaxcam.top(2)}, TypeError, "class indices"),
        ({"targets": [lambda output: output[0]] * 3}, TypeError, "from one maker"),
        ({"targets": lambda output: output}, ValueError, r"a scalar; .* returned shape \(5,\)"),
        ({"targets": "cat"}, TypeError, "'cat'"),
    ],
    ids=lambda value: None if isinstance(value, type | str) else next(iter(value)),
)
def test_bad_input(changes, error, message, unchecked):
    with pytest.raises(error, match=message):
        bad(**changes)


def test_a_model_without_logits():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: a))
    with pytest.raises(ValueError, match=r"classifiers.*\(12, 14, 3\)"):
        bad(probe=probe)


def test_all_zero_maps_have_a_value():
    values = bad(
        maps=0 * ONE,
        metrics=list(metrics.METRICS),
        steps=4,
        key=KEY,
        boxes=BOXES,
        method="gradcam",
        percentiles=[50],
    )
    assert all(np.isfinite(each).all() for each in values.values())
    for name in ("complexity", "road", "pointing_game", "energy_pointing_game"):
        np.testing.assert_array_equal(values[name], 0)


FUNCTIONS = [name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_conventions(name):
    function = getattr(metrics, name)
    text = inspect.getdoc(function)
    assert "Args:" in text
    parameters = list(inspect.signature(function).parameters.values())
    if parameters[0].name == "probe":
        given = [each.name for each in parameters if each.kind not in (each.KEYWORD_ONLY, each.VAR_KEYWORD)]
        # What judges a method rather than its maps makes the maps itself.
        count = 4 if "maps" in given else 3 if "method" in [each.name for each in parameters] else 2
        assert given == ["probe", "images", "targets", "maps"][:count]
        assert "(B, H, W, C)" in text or "(B, *space, C)" in text
    for each in parameters:
        assert re.search(rf"\b{each.name}\b", text.split("Args:")[1]), each.name
    if name in metrics.METRICS:
        assert re.search(r"`[^`]+`", text.splitlines()[0]), "no formula"
        assert "Returns:" in text
        assert re.search(r"\[(paper|third party|ours)\]", text.split("Source: ")[1])
