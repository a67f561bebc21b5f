"""Each layer against a few lines of NumPy, and its rules for sizes and dtypes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from selection import exhaustive

from jaxcam.models._conv import Conv
from jaxcam.models._layers import (
    BatchNorm,
    ConvNormActivation,
    Gelu,
    Hardsigmoid,
    Hardswish,
    LayerNorm,
    NamedSequential,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
    multiple_of_eight,
)
from jaxcam.models._pool import AdaptiveAvgPool, AvgPool, MaxPool
from jaxcam.models._squeeze_excitation import SqueezeExcitation

RNGS = nnx.Rngs(0)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def plain_convolution(layer, x):
    """The native operation, whatever form the layer would choose."""
    y = lax.conv_general_dilated(
        x,
        layer.kernel[...],
        layer.strides,
        layer.padding,
        rhs_dilation=layer.kernel_dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=layer.feature_group_count,
    )
    return y if layer.bias is None else y + layer.bias[...].reshape(1, 1, 1, -1)


FORMS = {
    "pointwise": {"kernel": 1},
    "pointwise, strided": {"kernel": 1, "stride": 2, "bias": False},
    "pointwise, padded": {"kernel": 1, "padding": 1},
    "pointwise, grouped": {"kernel": 1, "groups": 3},
    "depthwise": {"kernel": 3, "padding": 1, "groups": 6},
    "depthwise, strided": {"kernel": 5, "padding": 2, "stride": 2, "groups": 6, "bias": False},
    "depthwise, large": {"kernel": 7, "padding": 3, "groups": 6},
    "depthwise, dilated": {"kernel": 3, "padding": 2, "dilation": 2, "groups": 6},
    "depthwise, unpadded": {"kernel": 2, "stride": 3, "groups": 6},
    "grouped": {"kernel": 3, "groups": 2},
    "full": {"kernel": 3, "stride": 2, "padding": 1},
    "oblong": {"kernel": (1, 5), "padding": (0, 2)},
    "depthwise, oblong": {"kernel": (4, 1), "padding": (1, 0), "groups": 6},
}


@pytest.mark.parametrize(
    "form", exhaustive(FORMS, lambda form: form.endswith(("oblong", "unpadded", "padded", "large")))
)
def test_convolution_forms_agree(form, exact):
    """In value and in both gradients, op by op, compiled and under vmap."""
    options = FORMS[form]
    layer = Conv(6, 6, rngs=nnx.Rngs(1), **options)
    x = jnp.asarray(normal(3, 9, 8, 6))
    graph, state = nnx.split(layer)

    def loss(state, x, convolve):
        layer = nnx.merge(graph, state)
        return jnp.sum(jnp.sin(convolve(layer, x)))

    expected = plain_convolution(layer, x)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda x: layer(x))(x), expected, rtol=1e-5, atol=1e-5)
    one_by_one = jax.jit(jax.vmap(lambda image: layer(image[None])[0]))(x)
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-5, atol=1e-5)
    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    ours = gradient(state, x, lambda layer, x: layer(x))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        ours,
        gradient(state, x, plain_convolution),
    )


def test_depthwise_form_is_chosen_by_the_platform():
    layer = Conv(8, 8, 3, padding=1, groups=8, rngs=RNGS)
    traced = jax.jit(lambda x: layer(x)).trace(jnp.zeros((1, 6, 6, 8)))
    assert "convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "tpu"):
        assert "convolution" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_depthwise_rounds_to_bfloat16_once():
    layer = Conv(
        4, 4, 7, padding=3, groups=4, bias=False, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16, rngs=RNGS
    )
    x = jnp.asarray(normal(1, 9, 9, 4), jnp.bfloat16)
    wide = Conv(4, 4, 7, padding=3, groups=4, bias=False, rngs=RNGS)
    wide.kernel[...] = layer.kernel[...].astype(jnp.float32)
    expected = plain_convolution(wide, x.astype(jnp.float32)).astype(jnp.bfloat16)
    assert (jax.jit(lambda x: layer(x))(x) == expected).mean() > 0.99


def test_forms_cost_the_same():
    """A matrix product of a 1x1 kernel does the convolution's work, no more."""
    layer = Conv(16, 24, 1, bias=False, rngs=RNGS)
    x = jnp.zeros((2, 10, 10, 16))
    flops = [
        jax.jit(form).lower(x).compile().cost_analysis()["flops"]
        for form in (lambda x: layer(x), lambda x: plain_convolution(layer, x))
    ]
    assert flops[0] == flops[1] == 2 * 2 * 100 * 16 * 24


def plain_max_pool(x, window, stride, padding, size):
    padded = np.pad(x, [(0, 0), (padding, 9), (padding, 9), (0, 0)], constant_values=-np.inf)
    rows, columns = (range(0, n * stride, stride) for n in size)
    return np.stack(
        [np.stack([padded[:, i : i + window, j : j + window].max((1, 2)) for j in columns], 1) for i in rows],
        1,
    )


@pytest.mark.parametrize(
    ("window", "stride", "padding", "ceil", "shape", "size"),
    [
        (2, 2, 0, False, (7, 6), (3, 3)),
        (3, 2, 0, False, (8, 7), (3, 3)),
        (3, 2, 1, False, (8, 7), (4, 4)),
        (3, 2, 0, True, (8, 7), (4, 3)),
        (3, 2, 0, True, (111, 4), (55, 2)),
        (3, 2, 1, True, (6, 7), (4, 4)),
        (2, 2, 0, True, (5, 4), (3, 2)),
        (1, 3, 0, True, (4, 5), (2, 2)),  # torch drops the window that would start outside: not 3 columns
        (2, 3, 1, True, (5, 4), (2, 2)),
        (3, 2, 0, True, (2, 3), (1, 1)),  # smaller than the window, but ceil lets it hang over
    ],
)
def test_max_pool(window, stride, padding, ceil, shape, size):
    x = normal(2, *shape, 3) - 5  # negative throughout, so that a border of zeros would show
    y = MaxPool(window, stride=stride, padding=padding, ceil=ceil)(jnp.asarray(x))
    np.testing.assert_array_equal(y, plain_max_pool(x, window, stride, padding, size))


@pytest.mark.parity
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 1), (1, 3, 0)]
)
def test_max_pool_and_gradient_equal_torchs(window, stride, padding, ceil):
    """With many ties, as after a ReLU: the gradient goes to the first of them."""
    torch = pytest.importorskip("torch")
    for shape in [(7, 8), (4, 11)] + [(2, 5)] * ceil:
        x = np.maximum(normal(1, *shape, 2), 0).round(1)
        leaf = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
        expected = torch.nn.functional.max_pool2d(leaf, window, stride, padding, ceil_mode=ceil)
        weights = normal(*expected.shape)
        (expected * torch.from_numpy(weights)).sum().backward()
        pool = MaxPool(window, stride=stride, padding=padding, ceil=ceil)
        y, back = jax.vjp(pool, jnp.asarray(x))
        np.testing.assert_array_equal(y, expected.detach().permute(0, 2, 3, 1))
        (gradient,) = back(jnp.asarray(weights.transpose(0, 2, 3, 1)))
        np.testing.assert_allclose(gradient, leaf.grad.permute(0, 2, 3, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "stride", "padding", "shape"), [(2, 2, 0, (7, 6)), (3, 1, 1, (5, 4)), (3, 2, 1, (8, 7))]
)
def test_average_pool(window, stride, padding, shape):
    x = normal(2, *shape, 3)
    border = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    rows, columns = (range(0, n + 2 * padding - window + 1, stride) for n in shape)
    expected = np.stack(
        [
            np.stack([border[:, i : i + window, j : j + window].mean((1, 2)) for j in columns], 1)
            for i in rows
        ],
        1,
    )
    pool = AvgPool(window, stride=stride, padding=padding)
    np.testing.assert_allclose(pool(jnp.asarray(x)), expected, rtol=0, atol=1e-6)
    rounded = pool(jnp.asarray(x, jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_allclose(rounded.astype(jnp.float32), expected, rtol=0, atol=2e-2)


@pytest.mark.parametrize("size", [1, 3, 6, 7])
@pytest.mark.parametrize("shape", [(6, 5), (1, 2), (7, 7), (13, 29)])
def test_adaptive_average(size, shape):
    x = normal(2, *shape, 3)
    cells = [[slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in shape]
    expected = np.stack([np.stack([x[:, r, c].mean((1, 2)) for c in cells[1]], 1) for r in cells[0]], 1)
    np.testing.assert_allclose(AdaptiveAvgPool(size)(jnp.asarray(x)), expected, rtol=0, atol=1e-6)


def test_relu6():
    values = jnp.array([-1.0, 0.0, 1e-3, 3.0, 6.0, 7.0])
    np.testing.assert_array_equal(Relu6()(values), jnp.clip(values, 0, 6))
    gradient = jax.vmap(jax.grad(lambda x: Relu6()(x)))(values)
    np.testing.assert_array_equal(gradient, [0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda x: Relu()(x)))(values), [0, 0, 1, 1, 1, 1])
    assert jnp.isnan(Relu6()(jnp.nan))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Relu6, "relu6"),
        (Sigmoid, "sigmoid"),
        (Silu, "silu"),
        (Gelu, "gelu"),
        (Hardsigmoid, "hardsigmoid"),
        (Hardswish, "hardswish"),
    ],
)
def test_activations_and_gradients_equal_torchs(layer, name):
    """Also at their kinks."""
    torch = pytest.importorskip("torch")
    x = np.concatenate([[-9, -3, 0, 3, 6, 9], 4 * normal(50)]).astype(np.float32)
    leaf = torch.from_numpy(x).requires_grad_()
    expected = getattr(torch.nn.functional, name)(leaf)
    expected.sum().backward()
    np.testing.assert_allclose(layer()(jnp.asarray(x)), expected.detach(), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: layer()(x).sum())(jnp.asarray(x))
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_layer_norm(dtype):
    """Far from zero, where the mean of squares less the square of the mean has no digits left."""
    norm = LayerNorm(64, epsilon=1e-3, dtype=dtype, rngs=RNGS)
    scale, bias = normal(2, 64)
    norm.scale[...], norm.bias[...] = jnp.asarray(scale), jnp.asarray(bias)
    x = np.asarray(jnp.asarray(3000 + 40 * normal(2, 3, 3, 64), dtype), np.float64)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + bias
    y = norm(jnp.asarray(x, dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(np.float64(y), expected, rtol=0, atol=1e-3 if dtype == jnp.float32 else 0.1)


def test_squeeze_and_excitation(exact):
    layer = SqueezeExcitation(6, 3, activation=Silu, scale_activation=Hardsigmoid, rngs=RNGS)
    layer.fc1.bias[...], layer.fc2.bias[...] = jnp.asarray(normal(3)), jnp.asarray(normal(6))
    x = normal(2, 4, 5, 6)
    (a, b), (c, d) = (
        (np.asarray(fc.kernel[0, 0]), np.asarray(fc.bias[...])) for fc in (layer.fc1, layer.fc2)
    )
    squeezed = x.mean((1, 2)) @ a + b
    scale = (squeezed / (1 + np.exp(-squeezed))) @ c + d
    expected = x * (np.clip(scale + 3, 0, 6) / 6)[:, None, None]
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "rounded"), [(1, 8), (11, 16), (12, 16), (17.6, 16), (20, 24), (36, 40)]
)
def test_channels_are_multiples_of_eight(channels, rounded):
    assert multiple_of_eight(channels) == rounded


def test_batch_norm_uses_its_running_statistics():
    norm = BatchNorm(4, epsilon=1e-3, rngs=RNGS)
    scale, bias, mean, var = normal(4, 4)
    norm.scale[...], norm.bias[...], norm.mean[...], norm.var[...] = map(
        jnp.asarray, (scale, bias, mean, var**2)
    )
    x = normal(2, 3, 3, 4)
    expected = (x - mean) / np.sqrt(var**2 + 1e-3) * scale + bias
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], mean)


def test_batch_norm_trains():
    """A view in training mode normalises by the batch and moves the statistics by a tenth, as torch does."""
    norm = BatchNorm(4, rngs=RNGS)
    x = 3 + 2 * normal(8, 5, 5, 4)
    y = nnx.view(norm, use_running_average=False)(jnp.asarray(x))
    np.testing.assert_allclose(y.mean((0, 1, 2)), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), np.ones(4), atol=1e-4)
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean((0, 1, 2)), rtol=1e-5)


def test_batch_norm_in_bfloat16_folds_in_float32():
    norm = BatchNorm(1, dtype=jnp.bfloat16, rngs=RNGS)
    norm.mean[...], norm.var[...] = jnp.array([100.3]), jnp.array([1e4])
    y = norm(jnp.full((1, 1, 1, 1), 300.0, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(y), 1.997, rtol=8e-3)


def test_a_block_of_three():
    block = ConvNormActivation(3, 5, 3, stride=2, activation=Relu, rngs=RNGS)
    x = jnp.asarray(normal(1, 7, 7, 3))
    np.testing.assert_array_equal(block(x), block[2](block[1](block[0](x))))
    assert block(x).shape == (1, 4, 4, 5)


def test_a_block_without_activation():
    norm = partial(BatchNorm, epsilon=1e-3, momentum=0.99)
    block = ConvNormActivation(3, 5, 1, activation=None, norm=norm, rngs=RNGS)
    x = jnp.asarray(normal(1, 7, 7, 3))
    np.testing.assert_array_equal(block(x), block[1](block[0](x)))
    assert len(block) == 2
    assert (block[1].epsilon, block[1].momentum) == (1e-3, 0.99)
    assert (block(x) < 0).any()


def test_a_sequence_by_name_keeps_its_order():
    """Also of ten and more, and after it was taken apart."""
    kernels = normal(12, 2, 2)
    names = [f"layer{number}" for number in range(1, 13)]
    layers = NamedSequential({name: Conv(2, 2, 1, bias=False, rngs=RNGS) for name in names})
    for name, kernel in zip(names, kernels, strict=True):
        getattr(layers, name).kernel[...] = jnp.asarray(kernel[None, None])
    x = normal(1, 1, 1, 2)
    expected = x
    for kernel in kernels:
        expected = expected @ kernel
    for each in (layers, nnx.merge(*nnx.split(layers))):
        np.testing.assert_allclose(each(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((8, 8, 3), r"expected a batch \(B, H, W, 3\), channels last; got shape \(8, 8, 3\)"),
        ((1, 3, 8, 8), r"got shape \(1, 3, 8, 8\)"),
        ((1, 2, 8, 3), "a 2x8 map is smaller than the 3x3 window"),
    ],
)
def test_shape_errors(shape, words):
    with pytest.raises(ValueError, match=words):
        Conv(3, 4, 3, rngs=RNGS)(jnp.zeros(shape))


def test_pools_refuse_small_maps():
    for pool in (MaxPool(2, stride=2), AvgPool(2, stride=2)):
        with pytest.raises(ValueError, match="a 1x5 map is smaller than the 2x2 window"):
            pool(jnp.zeros((1, 1, 5, 3)))


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"models\.preprocess"):
        Conv(3, 4, 3, rngs=RNGS)(jnp.zeros((1, 8, 8, 3), jnp.uint8))
