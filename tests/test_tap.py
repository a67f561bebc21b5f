"""A tap does nothing to a program, and a probe finds it wherever the program runs it once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images

import jaxcam

IMAGE = images(1)[0]
keys = jax.random.split(jax.random.key(0), 2)
WEIGHTS = {"pixels": jax.random.normal(keys[0], (3, 6)), "classes": jax.random.normal(keys[1], (6, 5))}


def features(weights, x):
    return jaxcam.tap(jax.nn.relu(x @ weights["pixels"]), "features")


def head(weights, x):
    return jnp.mean(x, axis=(1, 2)) @ weights["classes"]


def plain(weights, x):
    return head(weights, features(weights, x))


def channels_first(weights, x):
    def one(x):
        x = jax.nn.relu(jnp.einsum("chw,ck->khw", x, weights["pixels"]))
        return jnp.mean(jaxcam.tap(x, "features", channels=0), axis=(1, 2)) @ weights["classes"]

    return jax.vmap(one)(jnp.moveaxis(x, -1, 1))


def vmapped(weights, x):
    """The tap sees one image, and its batch is the axis in the middle."""

    def one(x):
        return jnp.mean(jaxcam.tap(jax.nn.relu(x @ weights["pixels"]), "features"), axis=(0, 1))

    return jax.vmap(one, in_axes=1)(jnp.moveaxis(x, 0, 1)) @ weights["classes"]


ZERO = jnp.zeros((1, 1, 1, 3))

FORMS = {
    "plain": plain,
    "compiled": jax.jit(plain),
    "compiled inside": lambda weights, x: head(weights, jax.jit(features)(weights, x)),
    "compiled twice": jax.jit(lambda weights, x: head(weights, jax.jit(features)(weights, x))),
    "compiled with a constant": jax.jit(lambda weights, x: plain(weights, x + ZERO)),
    "rematerialised with a constant": jax.checkpoint(jax.jit(lambda weights, x: plain(weights, x + ZERO))),
    "rematerialised": jax.checkpoint(plain),
    "channels first": channels_first,
    "vmapped": vmapped,
}


@pytest.mark.parametrize("form", FORMS)
def test_probe_of_a_tap_is_that_of_two_functions(form):
    function = FORMS[form]
    batch = images(2)
    np.testing.assert_allclose(
        function(WEIGHTS, batch), plain(WEIGHTS, batch), rtol=1e-5
    )  # and compiled before
    function(WEIGHTS, IMAGE[None])
    expected = jaxcam.probe(split=(lambda x: features(WEIGHTS, x), lambda x: head(WEIGHTS, x))).look(IMAGE, 3)
    found = jaxcam.probe(function, "features", variables=WEIGHTS).look(IMAGE, 3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


def test_edit_reaches_the_rest_and_no_further():
    function = jax.jit(plain)
    probe = jaxcam.probe(function, "features", variables=WEIGHTS)
    before = function(WEIGHTS, IMAGE[None])
    silenced, activation = jax.jit(lambda probe, x: probe(x, lambda a: a * 0))(probe, IMAGE)
    np.testing.assert_array_equal(silenced, 0)
    assert np.abs(activation).max() > 0
    np.testing.assert_array_equal(function(WEIGHTS, IMAGE[None]), before)
    assert np.abs(probe(IMAGE)[0]).max() > 0


def test_tap_is_the_identity():
    x = jnp.asarray(images(2))
    np.testing.assert_array_equal(jaxcam.tap(x, "x", channels=1), x)
    slope = jax.grad(lambda x: jnp.sum(jaxcam.tap(x, "x") ** 2))(x)
    np.testing.assert_array_equal(slope, 2 * x)
    _, tangent = jax.jvp(jax.jit(jax.vmap(lambda x: jaxcam.tap(3 * x, "x"))), (x,), (x,))
    np.testing.assert_array_equal(tangent, 3 * x)
    text = jax.jit(lambda x: jaxcam.tap(x, "x")).lower(x).as_text()
    assert "jaxcam" not in text
    assert "transpose" not in text


def test_tokens_are_a_map():
    def logits(weights, x):
        patches = x.reshape(x.shape[0], 6, 2, 7, 2, 3).swapaxes(2, 3).reshape(x.shape[0], 42, 12)
        tokens = jnp.concatenate([jnp.zeros((x.shape[0], 2, 12)), patches], axis=1)
        return jnp.mean(jaxcam.tap(tokens, "tokens"), axis=1) @ weights

    weights = jax.random.normal(jax.random.key(0), (12, 5))
    probe = jaxcam.probe(logits, "tokens", variables=weights, tokens=2)
    assert probe.look(IMAGE, 1).gradient.shape == (6, 7, 12)
    with pytest.raises(ValueError, match=r"tap 'tokens' returns 44 tokens .* tokens=2 leaves 6x7"):
        jaxcam.probe(logits, "tokens", variables=weights)(IMAGE)


def test_a_function_without_variables():
    probe = jaxcam.probe(lambda x: plain(WEIGHTS, x), "features")
    np.testing.assert_allclose(probe(IMAGE)[0], plain(WEIGHTS, IMAGE[None])[0], rtol=1e-5)
    held = jaxcam.probe(jax.tree_util.Partial(plain, WEIGHTS), "features")
    assert len(jax.tree.leaves(held)) == 2


@pytest.mark.usefixtures("unchecked")
def test_call_options_are_part_of_the_program():
    def scaled(weights, x, *, by):
        return plain(weights, x) * by

    one, three = (jaxcam.probe(scaled, "features", variables=WEIGHTS, call={"by": by}) for by in (1.0, 3.0))
    np.testing.assert_allclose(three(IMAGE)[0], 3 * one(IMAGE)[0], rtol=1e-6)
    assert one.anatomy != three.anatomy
    with pytest.raises(TypeError, match=r"call=\{'by': ...\} is a list, which cannot be compared"):
        jaxcam.probe(scaled, "features", variables=WEIGHTS, call={"by": [1.0]})


def test_static_part_compares_by_value_and_weights_are_arguments():
    traced = []

    @jax.jit
    def output(probe, image):
        traced.append(1)
        return probe(image)[0]

    for scale in (1, 2):
        variables = jax.tree.map(lambda leaf, scale=scale: leaf * scale, WEIGHTS)
        output(jaxcam.probe(plain, "features", variables=variables), IMAGE)
    assert len(traced) == 1
    probe = jaxcam.probe(plain, "features", variables=WEIGHTS)
    assert len(jax.tree.leaves(probe)) == 2
    text = jax.jit(lambda probe, x: probe(x)[0]).lower(probe, IMAGE).as_text()
    assert 'dense<"0x' not in text


@pytest.mark.parametrize("method", ["gradcam", "cam", "ablationcam", "scorecam", "clustercam"])
def test_methods_take_a_tap(method):
    by_tap = jaxcam.probe(plain, "features", variables=WEIGHTS)
    by_split = jaxcam.probe(
        split=(
            jax.tree_util.Partial(features, WEIGHTS),
            jax.tree_util.Partial(head, WEIGHTS),
        )
    )
    found, expected = (jaxcam.explain(each, images(2), [1, 4], method=method) for each in (by_tap, by_split))
    assert found.shape == (2, 12, 14)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def never(weights, x):
    return head(weights, jax.nn.relu(x @ weights["pixels"]))


def twice(weights, x):
    return head(weights, features(weights, x)) + head(weights, features(weights, -x))


def looped(weights, x):
    return jax.lax.scan(lambda total, _: (total + plain(weights, x), None), jnp.zeros((1, 5)), length=2)[0]


def while_true(weights, x):
    return jax.lax.while_loop(lambda _: True, lambda total: total + plain(weights, x), jnp.zeros((1, 5)))


def branched(weights, x):
    return jax.lax.cond(jnp.sum(x) > 0, plain, never, weights, x)


def unused(weights, x):
    x = jax.nn.relu(x @ weights["pixels"])
    jaxcam.tap(x, "features")
    return head(weights, x)


def flat(weights, x):
    return jaxcam.tap(head(weights, x @ weights["pixels"]), "features")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (never, r"no tap 'features': the function marks no activation with jaxcam\.tap"),
        (twice, "tap 'features' is called more than once for one image"),
        (jax.jit(twice), "tap 'features' is called more than once for one image"),
        (looped, r"tap 'features' is called more than once .* \(2 times\)"),
        (while_true, "tap 'features' lies inside a while"),
        (branched, "tap 'features' lies inside a cond"),
        (unused, "tap 'features' is not used: go on with what jaxcam.tap returns"),
        (flat, r"tap 'features' returns shape \(1, 5\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_tap_without_one_activation(function, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.probe(function, "features", variables=WEIGHTS)(IMAGE)


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"no tap 'feature'; did you mean 'features'\?"):
        jaxcam.probe(plain, "feature", variables=WEIGHTS)(IMAGE)
    with pytest.raises(TypeError, match="the name of a tap is a string; got 3"):
        jaxcam.tap(jnp.zeros(3), 3)
    with pytest.raises(TypeError, match="tap 'x' marks an array; got tuple"):
        jaxcam.tap((jnp.zeros(3),), "x")
