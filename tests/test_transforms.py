"""Transforms: each against a loop in Python, and what a method must do, a transformed one does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import unit, up
from nets import Small, analytic, images

import jaxcam
from jaxcam.methods._expression import method_named
from jaxcam.probes._looked import Looked, of_layer

IMAGE = images(1)[0]
BATCH = images(3)
LAYERS = ("stem", "blocks.0")


@pytest.fixture(scope="module")
def probe():
    return jaxcam.probe(Small(), "blocks.0")


@pytest.fixture(scope="module")
def several():
    return jaxcam.probe(Small(), LAYERS)


TRANSFORMED = {
    "smoothed": jaxcam.smoothed(jaxcam.gradcampp, samples=3),
    "augmented": jaxcam.augmented(jaxcam.gradcam),
    "integrated": jaxcam.integrated(jaxcam.hirescam, steps=4),
    "of derivatives": jaxcam.smoothed(jaxcam.gradcampp, samples=3, statistic="derivatives", chunk=2),
    "nested": jaxcam.smoothed(jaxcam.augmented(jaxcam.layercam, flip=False), samples=2),
    "with masks": jaxcam.smoothed(jaxcam.scorecam, samples=2),
}


@pytest.mark.parametrize("statistic", ["mean", "square", "variance"])
def test_smoothed_is_a_loop(probe, statistic):
    key = jax.random.key(7)
    method = jaxcam.smoothed(jaxcam.hirescam, samples=4, sigma=0.2, key=key, statistic=statistic)
    spread = 0.2 * float(IMAGE.max() - IMAGE.min())
    maps = np.stack(
        [
            jaxcam.hirescam(probe, IMAGE + spread * jax.random.normal(each, IMAGE.shape), 2)
            for each in jax.random.split(key, 4)
        ]
    )
    expected = {"mean": maps.mean(0), "square": (maps**2).mean(0), "variance": maps.var(0)}[statistic]
    np.testing.assert_allclose(method(probe, IMAGE, 2), expected, rtol=1e-4, atol=1e-7)
    again = jaxcam.smoothed(jaxcam.hirescam, samples=4, sigma=0.2, key=key, statistic=statistic, chunk=3)
    np.testing.assert_allclose(again(probe, IMAGE, 2), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("target", [0, 2])
def test_smoothgradcampp_is_its_formula(target, x64):
    """Grad-CAM++ by the means of the gradient, its square and its cube, of a score whose gradient is known."""
    probe, image, A, G = analytic()
    slope = G[target] - np.asarray(
        probe.look(jnp.zeros_like(image), target).gradient
    )  # of a gradient linear in A
    draws = [
        A + 0.3 * np.asarray(jax.random.normal(each, A.shape))
        for each in jax.random.split(jax.random.key(0), 4)
    ]
    gradients = np.stack([G[target] + slope / A * (draw - A) for draw in draws])
    first, second, third = ((gradients**power).mean(axis=0) for power in (1, 2, 3))
    alpha = second / (2 * second + A.sum(axis=(0, 1)) * third + 1e-6)
    expected = ((np.maximum(first, 0) * alpha).sum(axis=(0, 1)) * A).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.smoothgradcampp(probe, image, target), expected, rtol=1e-9)
    for chunk in (2, 3):
        method = jaxcam.smoothed(
            jaxcam.gradcampp, samples=4, sigma=0.3, relative=False, statistic="derivatives", chunk=chunk
        )
        np.testing.assert_allclose(method(probe, image, target), expected, rtol=1e-9)


def test_a_mean_of_derivatives_is_that_of_maps_where_the_activation_stays():
    """HiResCAM's evidence is linear in the gradient; the activation here is the input's, with the noise left out."""
    probe = jaxcam.probe(split=(jax.lax.stop_gradient, lambda a: jnp.mean(a**3, axis=(1, 2))))
    x = jax.random.normal(jax.random.key(1), (4, 5, 3))
    method = jaxcam.smoothed(jaxcam.hirescam, samples=3, sigma=0.1, statistic="derivatives")
    spread = 0.1 * (x.max() - x.min())
    noisy = [x + spread * jax.random.normal(each, x.shape) for each in jax.random.split(jax.random.key(0), 3)]
    gradient = jnp.mean(jnp.stack([probe.look(each, 1).gradient for each in noisy]), axis=0)
    np.testing.assert_allclose(method(probe, x, 1), jnp.sum(gradient * x, axis=-1), rtol=1e-4, atol=1e-6)


def test_derivatives_over_layers(several):
    method = jaxcam.smoothed(jaxcam.over_layers(jaxcam.gradcampp), samples=2, statistic="derivatives")
    each = jaxcam.smoothed(jaxcam.gradcampp, samples=2, statistic="derivatives")
    maps = [jaxcam.over_layers(each)(several[layer], IMAGE, 1) for layer in LAYERS]
    np.testing.assert_allclose(method(several, IMAGE, 1), np.mean(maps, axis=0), rtol=1e-3, atol=1e-5)


def test_memory_does_not_grow_with_the_samples(probe):
    def temporaries(samples):
        method = jaxcam.smoothed(jaxcam.gradcampp, samples=samples, statistic="derivatives")
        return jax.jit(method).lower(probe, IMAGE, 1).compile().memory_analysis().temp_size_in_bytes

    few, many = temporaries(4), temporaries(64)
    assert many - few < 60 * 6 * 7 * 12 * 4  # less than one gradient for each sample that was added


def test_noise_does_not_change_the_class(probe):
    likely = int(jnp.argmax(probe(IMAGE)[0]))
    method = jaxcam.smoothed(jaxcam.gradcam, samples=3, sigma=3.0)
    np.testing.assert_array_equal(method(probe, IMAGE), method(probe, IMAGE, likely))


def test_no_noise_is_the_method(probe):
    method = jaxcam.smoothed(jaxcam.gradcam, samples=2, sigma=0.0)
    np.testing.assert_allclose(method(probe, IMAGE, 1), jaxcam.gradcam(probe, IMAGE, 1), rtol=1e-4, atol=1e-7)


def test_augmented_is_a_loop(probe):
    maps = []
    for flip in (False, True):
        for scale in (0.9, 1.0, 1.1):
            view = scale * (IMAGE[:, ::-1] if flip else IMAGE)
            shown = np.asarray(jaxcam.display(jaxcam.gradcam(probe, view, 2), size=IMAGE.shape[:2]))
            maps.append(shown[:, ::-1] if flip else shown)
    for chunk in (1, 4):
        found = jaxcam.augmented(jaxcam.gradcam, chunk=chunk)(probe, IMAGE, 2)
        np.testing.assert_allclose(found, np.mean(maps, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("combine", "by"), [("mean", np.mean), ("max", np.max), ("product", np.prod)])
def test_over_layers_is_a_loop(several, combine, by):
    raw = [jaxcam.layercam(several[layer], IMAGE, 2) for layer in LAYERS]
    size = IMAGE.shape[:2]
    if combine == "product":
        maps = [np.asarray(jaxcam.display(each, size=size)) for each in raw]
    else:  # scaled to [0, 1] before they are enlarged
        maps = [np.asarray(jaxcam.resize(jaxcam.display(each), size)) for each in raw]
    method = jaxcam.over_layers(jaxcam.layercam, combine)
    np.testing.assert_allclose(method(several, IMAGE, 2), by(maps, axis=0), rtol=1e-4, atol=1e-6)
    alone = method(several["stem"], IMAGE, 2)
    np.testing.assert_allclose(alone, maps[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["refinecam", "zoomcam"])
def test_compositions_are_their_formulas(several, name):
    maps = []
    for layer in LAYERS:
        look = several[layer].look(IMAGE, 3)
        A, G = np.asarray(look.activation, np.float64), np.asarray(look.gradient, np.float64)
        if name == "zoomcam":
            raw = (G * A).sum(axis=-1)
        else:
            alpha = np.where(G != 0, G**2 / (2 * G**2 + A.sum(axis=(0, 1)) * G**3 + 1e-6), 0)
            raw = ((np.maximum(G, 0) * alpha).sum(axis=(0, 1)) * A).sum(axis=-1)
        shown = np.maximum(raw, 0)
        if name == "zoomcam":
            maps.append(up(unit(shown), IMAGE.shape[:2]))
        else:
            maps.append(unit(up(shown, IMAGE.shape[:2])))
    expected = np.max(maps, axis=0) if name == "zoomcam" else np.prod(maps, axis=0)
    np.testing.assert_allclose(jaxcam.METHODS[name](several, IMAGE, 3), expected, atol=1e-4)
    assert jaxcam.METHODS[name].__doc__.startswith(("RefineCAM", "Zoom-CAM"))


def test_integrated_gradients_add_up(x64):
    model = Small(dtype=jnp.float64)
    probe = jaxcam.probe(model, jaxcam.INPUT)
    image = jnp.asarray(IMAGE, jnp.float64)
    for baseline in (0.0, 0.3, 0.1 * jnp.ones_like(image)):
        for rule, tolerance in (("gauss-legendre", 2e-3), ("midpoint", 2e-3), ("trapezoid", 5e-3)):
            method = jaxcam.integrated(jaxcam.hirescam, steps=200, baseline=baseline, rule=rule, chunk=50)
            gained = probe(image)[0][3] - probe(jnp.broadcast_to(baseline, image.shape))[0][3]
            np.testing.assert_allclose(jnp.sum(method(probe, image, 3)), gained, rtol=tolerance)


@pytest.mark.parametrize("rule", ["gauss-legendre", "trapezoid", "midpoint"])
def test_integrated_at_a_layer_is_a_loop(probe, rule):
    steps = 3
    points, weights = {
        "gauss-legendre": ([0.1127016654, 0.5, 0.8872983346], [5 / 18, 8 / 18, 5 / 18]),
        "trapezoid": ([0.0, 0.5, 1.0], [0.25, 0.5, 0.25]),
        "midpoint": ([1 / 6, 0.5, 5 / 6], [1 / 3] * 3),
    }[rule]
    gradient = sum(
        weight * np.asarray(probe.look(np.float32(point) * IMAGE, 2).gradient)
        for point, weight in zip(points, weights, strict=True)
    )
    change = probe(IMAGE)[1] - probe(jnp.zeros_like(IMAGE))[1]
    for chunk in (1, 2):
        method = jaxcam.integrated(jaxcam.hirescam, steps=steps, rule=rule, chunk=chunk)
        np.testing.assert_allclose(
            method(probe, IMAGE, 2), np.sum(gradient * change, axis=-1), rtol=1e-4, atol=1e-7
        )


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformed_method_is_a_method(name, probe):
    method = TRANSFORMED[name]
    raw = jaxcam.explain(probe, BATCH, [1, 2, 3], method=method, raw=True)
    for number in (0, 2):
        alone = method(probe, BATCH[number], number + 1)
        np.testing.assert_allclose(raw[number], alone, rtol=2e-4, atol=1e-6)
    assert np.isfinite(raw).all()
    narrow = jaxcam.probe(Small(dtype=jnp.bfloat16), "blocks.0")
    shape = jax.eval_shape(lambda p, x: method(p, x, 1), narrow, IMAGE.astype(jnp.bfloat16))
    assert shape.dtype == jnp.float32
    slope = jax.eval_shape(jax.grad(lambda x: jnp.sum(method(probe, x, 1))), IMAGE)
    assert slope.shape == IMAGE.shape


@pytest.mark.parametrize("name", TRANSFORMED)
def test_lowers_for_tpu(name, probe):
    function = jax.jit(lambda probe, x, c: TRANSFORMED[name](probe, x, c))
    target = jax.ShapeDtypeStruct((), jnp.int32)
    jax.export.export(function, platforms=["tpu"])(
        probe, jax.ShapeDtypeStruct(IMAGE.shape, jnp.float32), target
    )


def test_equal_transforms_share_a_program(probe):
    def calm(seed):
        return jaxcam.smoothed(jaxcam.gradcam, samples=2, key=jax.random.key(seed))

    assert calm(3) == calm(3)
    assert hash(calm(3)) == hash(calm(3))
    assert calm(3) != calm(4)
    assert jaxcam.integrated(jaxcam.hirescam) != jaxcam.integrated(jaxcam.gradcam)
    ones = [jaxcam.integrated(jaxcam.hirescam, baseline=np.ones(3, np.float32) * n) for n in (1, 1, 2)]
    assert ones[0] == ones[1] != ones[2]


def test_names_say_what_is_computed():
    assert jaxcam.smoothed(jaxcam.gradcampp).__name__ == "smoothed(gradcampp)"
    nested = jaxcam.over_layers(jaxcam.smoothed(jaxcam.layercam, samples=8), "max")
    assert str(nested) == "over_layers(smoothed(layercam, samples=8), combine='max')"
    assert repr(jaxcam.augmented(jaxcam.gradcam, scales=(1,))) == "augmented(gradcam, scales=(1.0,))"


def test_transforms_as_text(probe, several):
    text = "over_layers(smoothed(layercam, samples=2, sigma=0.1), product)"
    method = jaxcam.over_layers(jaxcam.smoothed(jaxcam.layercam, samples=2, sigma=0.1), "product")
    assert method_named(text) == method
    assert method_named(str(method)) == method
    assert method_named("gradcam") is jaxcam.gradcam
    assert method_named("augmented(gradcam, scales=(0.5, 2), flip=False)").settings[1] == ("flip", False)
    maps = jaxcam.explain(several, BATCH, 1, method=text)
    assert maps.shape == (3, 12, 14)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smoothed(gradcm)", "no method 'gradcm'; did you mean 'gradcam'"),
        ("smooth(gradcam)", "no transform 'smooth'; did you mean 'smoothed'"),
        ("smoothed()", r"smoothed takes a method, such as smoothed\(gradcam\)"),
        ("smoothed(gradcam", "is not a method; write it as in Python"),
        ("smoothed(gradcam, size=3)", "unexpected keyword argument 'size'"),
        ("smoothed(gradcam, samples=f())", "'f\\(\\)' is not a setting"),
        ("smoothed(gradcam, samples=-1)", "samples must be a whole number of at least 1; got -1"),
        ("smoothed(1 + 2)", "is not a method or a transform of one"),
    ],
)
def test_mistakes_in_the_text(text, message):
    with pytest.raises(ValueError, match=message):
        method_named(text)


def test_options_are_those_of_the_method(probe):
    method = jaxcam.smoothed(jaxcam.scorecam, samples=2)
    maps = jaxcam.explain(probe, BATCH, 1, method=method, top=3, raw=True)
    expected = jaxcam.smoothed(lambda p, x, t: jaxcam.scorecam(p, x, t, top=3), samples=2)
    np.testing.assert_allclose(maps[1], expected(probe, BATCH[1], 1), rtol=1e-4, atol=1e-6)
    with pytest.raises(TypeError, match="no option 'samples'"):
        jaxcam.explain(probe, BATCH, 1, method=method, samples=3)


def test_a_look_that_is_known():
    probe = jaxcam.probe(Small(), LAYERS)
    look = probe.look(IMAGE, 2)
    seen = Looked(probe["stem"], IMAGE, 2, of_layer(look, "stem"))
    assert seen.look(IMAGE, 2) is seen.given
    assert not np.allclose(seen.look(2 * IMAGE, 2).activation, seen.given.activation)
    same = jax.tree.unflatten(jax.tree.structure(seen), jax.tree.leaves(seen))
    np.testing.assert_array_equal(same.given.gradient, seen.given.gradient)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: jaxcam.smoothed("gradcam"),
            "smoothed takes a method, such as jaxcam.gradcam; got 'gradcam'",
        ),
        (
            lambda: jaxcam.smoothed(jaxcam.gradcam, samples=0),
            "samples must be a whole number of at least 1; got 0",
        ),
        (lambda: jaxcam.smoothed(jaxcam.gradcam, sigma=-1.0), r"sigma must be .* at least 0; got -1\.0"),
        (
            lambda: jaxcam.smoothed(jaxcam.gradcam, statistic="median"),
            "no statistic 'median'; did you mean 'mean'",
        ),
        (lambda: jaxcam.augmented(jaxcam.gradcam, scales=()), "scales must be finite numbers, at least one"),
        (lambda: jaxcam.over_layers(jaxcam.gradcam, "sum"), "no combine 'sum'"),
        (lambda: jaxcam.integrated(jaxcam.hirescam, rule="simpson"), "no rule 'simpson'"),
        (
            lambda: jaxcam.integrated(jaxcam.hirescam, rule="trapezoid", steps=1),
            "needs at least 2 steps; got 1",
        ),
        (lambda: jaxcam.integrated(jaxcam.hirescam, baseline="grey"), "no baseline 'grey'"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.usefixtures("unchecked")
def test_integrated_of_a_method_without_gradient(probe):
    with pytest.raises(ValueError, match="such as hirescam; eigencam does not ask for a gradient"):
        jaxcam.integrated(jaxcam.eigencam, steps=2)(probe, IMAGE, 1)
    with pytest.raises(ValueError, match=r"smoothed takes a method of .*; eigencam does not"):
        jaxcam.smoothed(jaxcam.eigencam, samples=2, statistic="derivatives")(probe, IMAGE, 1)
    with pytest.raises(
        ValueError, match=r"baseline must be a number or an array \(12, 14, 3\); got shape \(3, 3\)"
    ):
        jaxcam.integrated(jaxcam.hirescam, steps=2, baseline=np.zeros((3, 3)))(probe, IMAGE, 1)


def pooled(weights, x):
    x = jaxcam.tap(jnp.tanh(x @ weights["first"]), "first")
    x = jaxcam.tap(jnp.tanh(x @ weights["second"]), "second")
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1))) @ weights["classes"]


@pytest.mark.parametrize("space", [(9,), (4, 5, 6)])
def test_signals_and_volumes(space):
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = {"first": (3, 4), "second": (4, 6), "classes": (6, 5)}
    weights = {
        name: jax.random.normal(key, shape)
        for (name, shape), key in zip(shapes.items(), keys[1:], strict=True)
    }
    probe = jaxcam.probe(pooled, ("first", "second"), variables=weights)
    x = jax.random.normal(keys[0], (*space, 3))
    for method in TRANSFORMED.values():
        assert jax.eval_shape(method, probe["second"], x, 1).shape == space
    assert jaxcam.over_layers(jaxcam.layercam)(probe, x, 1).shape == space
    # A volume's map is scaled as a whole, and not slice by slice.
    whole = jaxcam.augmented(jaxcam.gradcam, scales=(1.0,), flip=False)(probe["second"], x, 1)
    shown = jaxcam.display(jaxcam.gradcam(probe["second"], x, 1), rank=len(space))
    np.testing.assert_allclose(whole, shown, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("few", "many"),
    [
        (
            jaxcam.augmented(jaxcam.gradcam, scales=(0.9, 1.1)),
            jaxcam.augmented(jaxcam.gradcam, scales=tuple(np.linspace(0.8, 1.2, 32))),
        ),
        (jaxcam.integrated(jaxcam.hirescam, steps=2), jaxcam.integrated(jaxcam.hirescam, steps=64)),
    ],
    ids=["augmented", "integrated"],
)
def test_memory_does_not_grow_with_views_and_steps(few, many, probe):
    large = jax.ShapeDtypeStruct((96, 96, 3), jnp.float32)

    def memory(method):
        compiled = jax.jit(lambda p, x: method(p, x, 1)).lower(probe, large).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    one_map = 48 * 48 * 4
    assert memory(many) - memory(few) <= 0.25 * memory(few) + 64 * one_map


def test_a_path_over_several_layers(several):
    method = jaxcam.integrated(jaxcam.hirescam, steps=2)
    with pytest.raises(
        TypeError, match=r"integrated looks at one layer.*over_layers\(integrated\(hirescam\)\)"
    ):
        method(several, IMAGE, 1)
    each = [method(several[layer], IMAGE, 1) for layer in LAYERS]
    shown = [jaxcam.resize(jaxcam.display(raw), IMAGE.shape[:2]) for raw in each]
    found = jaxcam.over_layers(method)(several, IMAGE, 1)
    np.testing.assert_allclose(found, np.mean(shown, axis=0), rtol=1e-4, atol=1e-5)
