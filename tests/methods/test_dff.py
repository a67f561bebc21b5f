"""Deep Feature Factorization: scikit-learn's factors, concepts that are known, and one result whatever way it runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small
from sklearn.decomposition import NMF

import jaxcam

RNG = np.random.default_rng(0)
HEAD = np.linspace(-1, 1, 27).reshape(9, 3)


def identity(weights=HEAD):
    """The image is the activation; the head pools it and weighs its nine channels."""
    return jaxcam.probe(
        split=(lambda x: x, lambda a: jnp.mean(a, axis=tuple(range(1, a.ndim - 1))) @ weights)
    )


def mass(shape):
    return RNG.uniform(size=shape) ** 2


@pytest.mark.parametrize(("rule", "solver"), [("coordinate", "cd"), ("multiplicative", "mu")])
def test_factors_are_those_of_scikit_learn(x64, rule, solver):
    batch, k = mass((2, 4, 5, 9)), 3
    rows = batch.reshape(-1, 9)
    lowest = rows.min(axis=0)
    W, H = mass((9, k)), mass((k, len(rows)))
    # the other ends by another rule there
    tolerance, iterations = (1e-2, 300) if rule == "coordinate" else (0, 30)
    peer = NMF(k, init="custom", solver=solver, max_iter=iterations, tol=tolerance)
    W = peer.fit_transform((rows - lowest).T, W=(first := W).copy(), H=H.copy())
    start = H.reshape(k, 2, 4, 5).swapaxes(0, 1), first.T + lowest
    found = jaxcam.dff(identity(), batch, start=start, rule=rule, iterations=iterations, tolerance=tolerance)
    np.testing.assert_allclose(found.concepts, W.T + lowest, atol=1e-12)
    np.testing.assert_allclose(found.maps, peer.components_.reshape(k, 2, 4, 5).swapaxes(0, 1), atol=1e-12)
    np.testing.assert_allclose(found.scores, found.concepts @ HEAD, atol=1e-12)
    assert found.maps.dtype == jnp.float64


def test_concepts_that_are_there_are_found():
    """Three disjoint patterns of channels, each in places of its own, above a level that every channel has."""
    places = RNG.integers(0, 3, (4, 6, 6))
    patterns = np.kron(np.eye(3), [1.0, 2.0, 0.5]) + 0.25
    batch = patterns[places].astype(np.float32)
    found = jaxcam.dff(identity(np.kron(np.eye(3), np.ones((3, 1)))), batch, concepts=3, tolerance=1e-6)
    order = np.argsort(np.argmax(found.scores, axis=1))
    maps = np.asarray(found.maps)[:, order]
    assert sorted(np.argmax(found.scores, axis=1)) == [0, 1, 2]
    np.testing.assert_array_equal(np.argmax(maps, axis=1), places)
    rebuilt = np.einsum("bkhw,kc->bhwc", found.maps, np.asarray(found.concepts) - 0.25) + 0.25
    np.testing.assert_allclose(rebuilt, batch, atol=1e-3)


def test_a_result_can_be_gone_on_from_and_a_key_repeats_it():
    run = functools.partial(jaxcam.dff, small(), images(2), concepts=3, tolerance=0)
    once, again, other = run(iterations=8), run(iterations=5), run(iterations=8, key=jax.random.key(1))
    for a, b in zip(once[:2], run(iterations=3, start=again)[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(once.maps, run(iterations=8, key=jax.random.key(0)).maps)
    assert np.abs(np.asarray(once.maps) - other.maps).max() > 0.1


def test_compiled_in_chunks_and_eager_are_one():
    probe, batch = small(), images(3)
    eager = jaxcam.dff(probe, batch, concepts=2)
    compiled = jax.jit(functools.partial(jaxcam.dff, concepts=2, chunk=2))(probe, batch)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert [each.shape for each in eager] == [(3, 2, 6, 7), (2, 12), (2, 5)]
    concept = jnp.broadcast_to(eager.concepts[1], (6, 7, 12))
    np.testing.assert_allclose(eager.scores[1], probe(batch[0], lambda _: concept)[0], rtol=1e-5)


def test_it_lowers_for_tpus_in_bfloat16():
    probe = small(dtype=jnp.bfloat16)
    traced = jax.jit(jaxcam.dff).trace(probe, jnp.asarray(images(2), jnp.bfloat16))
    assert "custom_call" not in traced.lower(lowering_platforms=("tpu",)).as_text()
    assert all(each.dtype == jnp.float32 for each in traced.out_info)


def test_signals_and_volumes():
    flat = mass((2, 24, 9)).astype(np.float32)
    (one, two, three) = (
        jaxcam.dff(identity(), flat.reshape(2, *space, 9), concepts=2, iterations=20).maps
        for space in ((24,), (4, 6), (2, 3, 4))
    )
    assert (one.shape, two.shape, three.shape) == ((2, 2, 24), (2, 2, 4, 6), (2, 2, 2, 3, 4))
    np.testing.assert_allclose(one, two.reshape(one.shape), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one, three.reshape(one.shape), rtol=1e-4, atol=1e-4)


def test_dead_layers_have_maps_of_zeros_and_what_is_not_finite_has_none():
    run = jax.jit(functools.partial(jaxcam.dff, concepts=2))
    dead = run(identity(), np.full((2, 3, 4, 9), 1.5, np.float32))
    np.testing.assert_array_equal(dead.maps, 0)
    np.testing.assert_array_equal(dead.concepts, 1.5)
    for value in (np.nan, np.inf):
        broken = mass((2, 3, 4, 9)).astype(np.float32)
        broken[1, 2, 0, 5] = value
        assert all(np.isnan(each).all() for each in run(identity(), broken))


MISTAKES = {
    "concepts must be a whole number of at least 1; got 0": {"concepts": 0},
    "iterations must be a whole number": {"iterations": 0},
    "tolerance must be a number of at least 0; got -1": {"tolerance": -1},
    "no rule 'coordinates'; did you mean 'coordinate'": {"rule": "coordinates"},
    r"start must be maps \(2, 3, 3, 4\) and concepts \(3, 9\); got \(2, 2, 3, 4\)": {
        "start": (np.ones((2, 2, 3, 4)), np.ones((3, 9)))
    },
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told(unchecked, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.dff(identity(), np.ones((2, 3, 4, 9), np.float32), **MISTAKES[message])


def test_what_is_no_batch_or_no_probe_of_one_layer(unchecked):
    with pytest.raises(ValueError, match="Add a batch axis"):
        jaxcam.dff(identity(), np.ones((4, 9), np.float32))
    with pytest.raises(TypeError, match="a probe comes first"):
        jaxcam.dff(identity, np.ones((2, 3, 4, 9), np.float32))
