"""The parts of the transformers against a few lines of NumPy, and where they could lose digits or gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic
import tiny
from flax import nnx

import converters
from jaxcam.models._attention import attend, relative_position_index, unwindows, windows
from jaxcam.models.swin_v2 import CosineWindowAttention, _offsets, _unit


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_attention(exact):
    q, k, v = normal(3, 2, 5, 4, 3)  # batch, tokens, heads, width
    bias = normal(4, 5, 5, seed=1)
    expected = np.empty((2, 5, 4, 3))
    for b, h in np.ndindex(2, 4):
        scores = 0.3 * q[b, :, h] @ k[b, :, h].T + bias[h]
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        expected[b, :, h] = weights @ v[b, :, h]
    y = attend(*map(jnp.asarray, (q, k, v)), scale=0.3, bias=jnp.asarray(bias)[None])
    np.testing.assert_allclose(y, expected.reshape(2, 5, 12), rtol=1e-5, atol=1e-6)


def test_scores_of_half_precision_are_float32():
    """80000 overflows float16, and bfloat16 cannot tell 1001 from 1002."""
    q = jnp.full((1, 2, 1, 4), 200, jnp.float16)
    k = jnp.array([50, 100], jnp.float16).reshape(1, 2, 1, 1) * jnp.ones((1, 2, 1, 4), jnp.float16)
    y = attend(q, k, jnp.array([1, 2], jnp.float16).reshape(1, 2, 1, 1), scale=1.0)
    np.testing.assert_array_equal(y.ravel(), [2, 2])
    one = jnp.ones((1, 1, 1, 1), jnp.bfloat16)
    bias = jnp.array([1001.0, 1002.0]).reshape(1, 1, 1, 2)
    y = attend(
        one, one.repeat(2, 1), jnp.array([0, 1], jnp.bfloat16).reshape(1, 2, 1, 1), scale=1.0, bias=bias
    )
    np.testing.assert_allclose(float(y.ravel()[0]), 1 / (1 + np.exp(-1)), atol=4e-3)


def test_windows_and_back():
    x = jnp.arange(2 * 6 * 8 * 3).reshape(2, 6, 8, 3)
    cut = windows(x, 3, 2)
    assert cut.shape == (2, 2, 4, 6, 3)
    np.testing.assert_array_equal(cut[1, 1, 2].reshape(3, 2, 3), x[1, 3:6, 4:6])
    np.testing.assert_array_equal(unwindows(cut, 3, 2), x)


@pytest.mark.parametrize("window", [2, 3, 7, 8])
def test_relative_position_index(window):
    index = relative_position_index(window)
    assert index.dtype == np.int64
    np.testing.assert_array_equal(index, synthetic._index((window**2, window**2)))


@pytest.fixture(scope="module")
def cosine():
    """Cosine attention over a map that its windows do not cover: a function of changed parameters, and its gradient."""
    options = {"dtype": jnp.float32, "param_dtype": jnp.float32}
    attention = nnx.eval_shape(
        lambda: CosineWindowAttention(8, 2, window=3, shifted=True, rngs=nnx.Rngs(0), **options)
    )
    graph, state = nnx.split(converters.from_torch(attention, synthetic.weights(synthetic.shapes(attention))))
    pure = nnx.to_pure_dict(state)
    image = jnp.asarray(normal(1, 7, 5, 8))
    run = jax.jit(lambda pure, x: nnx.merge(graph, pure)(x))
    slopes = jax.jit(jax.grad(lambda pure, x: nnx.merge(graph, pure)(x).sum(), (0, 1)))
    return pure, lambda pure: np.asarray(run(pure, image)), lambda pure: slopes(pure, image)


def test_the_scale_of_cosine_attention_ends_at_100(cosine):
    pure, run, _ = cosine
    scaled = [run(pure | {"logit_scale": jnp.full((2, 1, 1), value)}) for value in (4, np.log(100), 9)]
    np.testing.assert_array_equal(scaled[1], scaled[2])
    assert np.abs(scaled[0] - scaled[1]).max() > 1e-4


def test_the_keys_bias_counts_as_zero(cosine):
    pure, run, _ = cosine
    bias = pure["qkv"]["bias"]
    for which, counts in ((slice(8), True), (slice(8, 16), False), (slice(16, 24), True)):
        changed = run(pure | {"qkv": pure["qkv"] | {"bias": bias.at[which].add(jnp.arange(8.0))}})
        assert (np.abs(changed - run(pure)).max() > 1e-4) == counts


def test_vectors_of_zeros_have_a_finite_gradient(cosine):
    """Keys of the padding are zeros."""
    np.testing.assert_allclose(_unit(jnp.array([[3.0, 4.0], [0, 0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: _unit(x).sum())(jnp.zeros((2, 3)))).all()
    pure, _, slopes = cosine
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes(pure)))


def test_offsets_are_logarithmic():
    table = _offsets(3)
    assert table.shape == (1, 5, 5, 2)
    np.testing.assert_allclose(
        table[0, 0, :, 1], np.array([-np.log2(9), -np.log2(5), 0, np.log2(5), np.log2(9)]) / 3, rtol=1e-6
    )
    np.testing.assert_array_equal(table[0, :, 0, 0], table[0, 0, :, 1])
    np.testing.assert_allclose(_offsets(8).max(), np.log2(9) / 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["tiny_swin", "tiny_maxvit"])
def test_a_position_index_of_another_model_is_refused(name):
    model = nnx.eval_shape(lambda: tiny.build(name))
    state = synthetic.weights(synthetic.shapes(model))
    key = next(key for key in state if key.endswith("relative_position_index"))
    state[key] = state[key][::-1]
    with pytest.raises(ValueError, match=f"{key} differs from the one that follows from the architecture"):
        converters.from_torch(model, state)
    del state[key]
    with pytest.raises(ValueError, match=f"1 missing: {key}"):
        converters.from_torch(model, state)


def test_the_old_spelling_of_vision_transformers():
    model = nnx.eval_shape(lambda: tiny.build("tiny_vit"))
    state = synthetic.weights(synthetic.shapes(model))
    old = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): state[key] for key in state
    }
    assert len(old.keys() - state.keys()) == 4 * 11
    again = converters.to_torch(converters.from_torch(model, old))
    assert again.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value)
