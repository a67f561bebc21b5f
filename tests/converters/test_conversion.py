"""from_torch and to_torch on a small model that has every kind of layer."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from small_net import Net, abstract, random_state

import converters


def assert_identical(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype, key
        assert a[key].shape == b[key].shape, key
        assert a[key].tobytes() == b[key].tobytes(), key


@pytest.mark.usefixtures("exact")
def test_a_converted_model_computes_what_torch_defines():
    """The state_dict's arrays used as torch's documentation says, in plain numpy."""
    w = random_state()
    image = np.random.default_rng(1).normal(size=(3, 5, 8)).astype(np.float32)  # C, H, W

    def convolve(x, weight, groups):
        n, inputs, kh, kw = weight.shape
        out = np.zeros((n, x.shape[1] - kh + 1, x.shape[2] - kw + 1))
        for o in range(n):
            first = o // (n // groups) * inputs
            for i, j in np.ndindex(*out.shape[1:]):
                out[o, i, j] = (weight[o] * x[first : first + inputs, i : i + kh, j : j + kw]).sum()
        return out

    def column(key):
        return w[key][:, None, None]

    x = convolve(image, w["features.0.weight"], 1)
    x = (x - column("features.1.running_mean")) / np.sqrt(column("features.1.running_var") + 1e-5)
    x = x * column("features.1.weight") + column("features.1.bias")
    x = convolve(x, w["features.2.weight"], 2) + column("features.2.bias")
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6) * column("norm.weight") + column("norm.bias")
    expected = w["fc.weight"] @ x.reshape(-1) + w["fc.bias"]

    model = converters.from_torch(abstract(), w)
    np.testing.assert_allclose(model(image.transpose(1, 2, 0)[None])[0], expected, rtol=1e-4)


def test_round_trips_are_bit_exact():
    state = random_state()
    state["fc.weight"][0, :2] = [1e-42, -0.0]
    model = converters.from_torch(abstract(), state)
    assert_identical(converters.to_torch(model), state)
    again = converters.from_torch(model, converters.to_torch(model))
    same = jax.tree.map(
        lambda a, b: a.dtype == b.dtype and bool((a == b).all()), nnx.state(model), nnx.state(again)
    )
    assert all(jax.tree.leaves(same))


def test_the_given_model_is_left_alone():
    model = Net(rngs=nnx.Rngs(0))
    before = converters.to_torch(model)
    converted = converters.from_torch(model, random_state())
    assert_identical(converters.to_torch(model), before)
    assert isinstance(converted, Net)
    assert converted is not model


def test_later_changes_to_the_source_do_not_reach_the_model():
    state = random_state()
    model = converters.from_torch(abstract(), state)
    taken = converters.to_torch(model)
    for value in (*state.values(), *taken.values()):
        value[...] = 9
    assert_identical(converters.to_torch(model), random_state())


def test_an_abstract_model_will_do():
    model = converters.from_torch(abstract(), random_state())
    real = converters.from_torch(Net(rngs=nnx.Rngs(0)), random_state())
    assert_identical(converters.to_torch(model), converters.to_torch(real))
    model.dropout.deterministic = False  # its generator is real, too
    x = jnp.ones(100)
    assert not np.array_equal(model.dropout(x), model.dropout(x))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_parameters_take_the_dtype_of_the_model(dtype):
    model = converters.from_torch(abstract(param_dtype=dtype), random_state())
    assert model.fc.kernel.dtype == dtype
    assert model.features[1].mean.dtype == jnp.float32
    expected = random_state()["fc.bias"].astype(dtype)
    np.testing.assert_array_equal(model.fc.bias[...], expected)


def test_takes_half_precision_and_jax_arrays():
    half = {key: jnp.asarray(value, ml_dtypes.bfloat16) for key, value in random_state().items()}
    model = converters.from_torch(abstract(), half)
    assert model.fc.bias.dtype == jnp.float32
    np.testing.assert_array_equal(model.fc.bias[...], np.asarray(half["fc.bias"]).astype(np.float32))


def test_understands_a_checkpoint_around_the_state_dict():
    checkpoint = {
        "state_dict": {f"module.{key}": value for key, value in random_state().items()},
        "epoch": 90,
    }
    assert_identical(converters.to_torch(converters.from_torch(abstract(), checkpoint)), random_state())


def test_one_error_lists_everything():
    state = random_state()
    del state["norm.weight"], state["features.2.bias"]
    state["features.0.weight"] = np.zeros((4, 3, 3, 3), np.float32)
    state |= {f"extra.{i}.weight": np.zeros(2) for i in range(20)}
    with pytest.raises(ValueError, match="does not fit") as error:
        converters.from_torch(abstract(), state)
    text = str(error.value)
    assert "2 missing: features.2.bias, norm.weight\n" in text
    assert "20 unexpected: extra.0.weight, extra.1.weight" in text
    assert "and 12 more" in text
    assert "extra.15" not in text
    assert "1 misshaped: features.0.weight (checkpoint (4, 3, 3, 3), model (4, 3, 3, 5))" in text
    assert "num_classes" not in text


def test_another_number_of_classes_is_said():
    with pytest.raises(
        ValueError, match="head has 5 classes, the model was built with 7: pass num_classes=5"
    ) as error:
        converters.from_torch(abstract(7), random_state())
    assert "2 misshaped: fc.bias (checkpoint (5,), model (7,))" in str(error.value)


def test_every_array_once_by_its_own_name():
    """Swapped names of equal shape are found out by the values, lost and doubled ones by the names."""
    state = random_state()
    for key in [key for key in state if not key.endswith("num_batches_tracked")]:
        with pytest.raises(ValueError, match=f"1 missing: {key}\n  1 unexpected: {key}s"):
            converters.from_torch(abstract(), {(k + "s" if k == key else k): v for k, v in state.items()})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    state = random_state()
    state["features.2.weight"][0, 1, 1, 0] = value
    with pytest.raises(ValueError, match=r"features\.2\.weight holds 1 values that are not finite"):
        converters.from_torch(abstract(), state)


def test_values_beyond_the_dtype_of_the_model():
    state = random_state()
    state["fc.bias"][2] = 1e5
    with pytest.raises(ValueError, match=r"fc\.bias overflows float16"):
        converters.from_torch(abstract(param_dtype=jnp.float16), state)


def test_integers_are_no_weights():
    state = random_state()
    state["fc.weight"] = np.zeros((5, 36), np.int8)
    with pytest.raises(ValueError, match=r"fc\.weight is of int8, .* quantised"):
        converters.from_torch(abstract(), state)


@pytest.mark.parametrize("value", [None, "weights", [1.0, 2.0], 3])
def test_values_that_are_no_arrays(value):
    with pytest.raises(ValueError, match=r"under 'fc\.bias' where an array should be"):
        converters.from_torch(abstract(), {**random_state(), "fc.bias": value})


def test_auxiliary_heads_are_dropped_only_where_the_model_has_none():
    state = {
        **random_state(),
        "aux1.fc.weight": np.zeros((2, 2)),
        "AuxLogits.conv0.bn.num_batches_tracked": np.array(1),
    }
    assert_identical(converters.to_torch(converters.from_torch(abstract(), state)), random_state())

    class WithHead(Net):
        def __init__(self, **options):
            super().__init__(**options)
            self.aux1 = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    with pytest.raises(ValueError, match=r"1 missing: aux1\.bias\n  1 misshaped: aux1\.weight") as error:
        converters.from_torch(
            WithHead(rngs=nnx.Rngs(0)), {**random_state(), "aux1.weight": np.zeros((2, 2), np.float32)}
        )
    assert "unexpected" not in str(error.value)


def test_the_old_spelling_of_densenets():
    class Layer(nnx.Module):
        def __init__(self):
            self.norm1 = nnx.LayerNorm(2, use_bias=False, rngs=nnx.Rngs(0))
            self.conv2 = nnx.Conv(2, 2, (1, 1), use_bias=False, rngs=nnx.Rngs(0))

    class Block(nnx.Module):
        def __init__(self):
            self.denselayer1 = Layer()

    class Dense(nnx.Module):
        def __init__(self):
            self.denseblock1 = Block()

    old = {
        "denseblock1.denselayer1.norm.1.weight": np.ones(2, np.float32),
        "denseblock1.denselayer1.conv.2.weight": np.ones((2, 2, 1, 1), np.float32),
    }
    expected = {"denseblock1.denselayer1.norm1.weight", "denseblock1.denselayer1.conv2.weight"}
    assert converters.to_torch(converters.from_torch(Dense(), old)).keys() == expected


def test_layers_without_a_rule_are_not_guessed():
    class Odd(nnx.Module):
        def __init__(self):
            self.up = nnx.ConvTranspose(2, 3, (3, 3), rngs=nnx.Rngs(0))

    with pytest.raises(TypeError, match=r"up is an nnx\.ConvTranspose, which has no rule; .*Conv, Linear"):
        converters.to_torch(Odd())
