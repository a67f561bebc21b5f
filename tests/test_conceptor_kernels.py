"""Conceptors in float32, and under vmap, jit and for other devices."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from selection import exhaustive

from jaxcam import conceptor
from jaxcam.conceptor import and_, and_not, evidence, learn, matrix, not_, or_, quota

K = 9

OPERATIONS = {
    "and": lambda Z, V: and_(learn(Z), learn(V)),
    "or": lambda Z, V: or_(learn(Z), learn(V)),
    "and not": lambda Z, V: and_not(learn(Z), learn(V)),
    "weighted": lambda Z, V: learn(Z, weights=jnp.abs(V[0])),
}


def samples(n, seed=0, *, K=K):
    return np.random.default_rng([seed, n]).normal(size=(K, n)).astype(np.float32)


@pytest.mark.parametrize("aperture", [0.1, 1.0, 10.0, 100.0])
def test_float32_is_enough(aperture):
    Z = samples(49, K=300).astype(np.float32) * np.geomspace(1, 1e-3, 49, dtype=np.float32)
    u = np.linspace(0, 1, 49, dtype=np.float32)

    def shares(Z, u):
        positive, negative = learn(Z, aperture, weights=u), learn(Z, aperture, weights=1 - u)
        both = or_(positive, not_(negative)), and_not(positive, negative), positive
        return np.stack([evidence(C, Z) for C in both])

    seen = shares(Z, u)
    assert seen.dtype == np.float32
    with jax.enable_x64(True):
        expected = shares(Z.astype(np.float64), u.astype(np.float64))
    np.testing.assert_allclose(seen, expected, atol=2e-5)


def test_bfloat16_is_widened():
    C = learn(jnp.asarray(samples(4), jnp.bfloat16))
    assert C.factor.dtype == jnp.float32


def test_2048_channels_never_make_a_square_matrix():
    Z = jax.ShapeDtypeStruct((2048, 49), jnp.float32)
    u = jax.ShapeDtypeStruct((49,), jnp.float32)

    def shares(Z, u):
        C = or_(learn(Z, weights=u), not_(learn(Z, weights=1 - u)))
        return evidence(and_(C, learn(Z)), Z)

    assert "2048x2048" not in jax.jit(shares).lower(Z, u).as_text()
    assert "2048x" in jax.jit(shares).lower(Z, u).as_text()


@pytest.mark.parametrize("n", exhaustive([4, 14], lambda n: n != 4))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_vmap_equals_loop(operation, n):
    Z, V = (np.stack([samples(n, seed + s) for s in range(3)]) for seed in (1, 11))
    function = lambda Z, V: matrix(OPERATIONS[operation](Z, V))  # noqa: E731
    looped = np.stack([function(z, v) for z, v in zip(Z, V, strict=True)])
    mapped = jax.vmap(jax.vmap(function))(Z[None], V[None])[0]  # twice: nested maps take the same road
    np.testing.assert_allclose(mapped, looped, atol=2e-6)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_jit_equals_eager(operation):
    function = lambda Z, V: quota(OPERATIONS[operation](Z, V))  # noqa: E731
    pair = samples(4, 1), samples(4, 2)
    np.testing.assert_allclose(jax.jit(function)(*pair), function(*pair), atol=2e-6)


def test_a_conceptor_passes_through_transformations():
    Z = samples(4).astype(np.float32)
    C = jax.jit(lambda Z: not_(learn(Z)))(Z)
    assert isinstance(C, conceptor.Conceptor)
    assert C.negated
    stacked = jax.vmap(learn)(np.stack([Z, 2 * Z]))
    np.testing.assert_allclose(jax.vmap(matrix)(stacked)[1], matrix(learn(2 * Z)), atol=1e-6)


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_lowers_for(platform, operation):
    function = jax.jit(jax.vmap(lambda Z, V: quota(OPERATIONS[operation](Z, V))))
    shape = jax.ShapeDtypeStruct((2, K, 14), jnp.float32)
    exported = jax.export.export(function, platforms=[platform])(shape, shape)
    assert exported.out_avals[0].shape == (2,)
