"""The public functions, and what every architecture promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic
import tiny
from flax import nnx
from jax import export
from selection import architectures, exhaustive

import converters
from jaxcam import models
from jaxcam.models._layers import Gelu
from jaxcam.models._published import PUBLISHED
from jaxcam.models.convnext import Block

LAYERS = {
    "alexnet": "features.11",
    "vgg16": "features.29",
    "vgg19_bn": "features.51",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "densenet201": "relu",
    "resnet50": "layer4",
    "squeezenet1_1": "features",
    "mobilenet_v2": "features",
    "mnasnet1_0": "layers",
    "shufflenet_v2_x1_5": "conv5",
    "mobilenet_v3_large": "features",
    "efficientnet_b4": "features",
    "regnet_y_8gf": "trunk_output",
    "convnext_base": "features",
    "vit_b_32": "encoder.layers.encoder_layer_11.ln_1",
    "vit_h_14": "encoder.layers.encoder_layer_31.ln_1",
    "swin_b": "norm",
    "swin_v2_t": "norm",
    "maxvit_t": "blocks.3",
    "cifar_resnet56": "layer3",
}
# Sides of the pictures where they are not 224.
PICTURES = {
    "inception_v3": 299,
    "efficientnet_b1": 240,
    "efficientnet_b2": 288,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
    "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480,
    "efficientnet_v2_l": 480,
    "regnet_y_128gf": 384,
    "swin_v2_t": 256,
    "swin_v2_s": 256,
    "swin_v2_b": 256,
}
# One small member of each family whose layers differ, and an image it is fast on.
SMALL = [
    ("resnet18", (33, 40)),
    ("squeezenet1_1", (33, 40)),
    ("mobilenet_v2", (33, 40)),
    ("shufflenet_v2_x0_5", (33, 40)),
    ("mobilenet_v3_small", (33, 40)),
    ("cifar_resnet20", (12, 9)),
    *tiny.SIZES.items(),
]
# And of the families that take seconds to compile: traced and lowered only.
TRACED = [
    *SMALL,
    ("alexnet", (65, 71)),
    ("vgg11_bn", (33, 40)),
    ("resnext50_32x4d", (33, 40)),
    ("googlenet", (33, 40)),
    ("densenet121", (33, 40)),
    ("inception_v3", (75, 80)),
    ("mnasnet0_5", (33, 40)),
    ("efficientnet_b0", (33, 40)),
    ("regnet_y_400mf", (33, 40)),
    ("convnext_tiny", (33, 40)),
]

# A few of them run by default: a plain one, one with depthwise convolutions, a transformer with shifted windows.
FEW = {"squeezenet1_1", "mobilenet_v2", "tiny_swin_v2"}
SMALL, TRACED = (exhaustive(cases, lambda case: case[0] not in FEW) for cases in (SMALL, TRACED))


def abstract(name, **options):
    return nnx.eval_shape(lambda: (tiny if name in tiny.SIZES else models).build(name, **options))


def filled(name, **options):
    model = abstract(name, num_classes=7, **options)
    return converters.from_torch(model, synthetic.weights(synthetic.shapes(model)))


def apply(graph, state, images):
    return nnx.merge(graph, state)(images)


def output(model, shape=(1, 224, 224, 3), dtype=jnp.float32):
    """Shape and dtype of an abstract model's output."""
    graph, state = nnx.split(model)
    return jax.eval_shape(lambda state, x: apply(graph, state, x), state, jax.ShapeDtypeStruct(shape, dtype))


def test_names():
    assert models.names() == tuple(PUBLISHED)


@pytest.mark.parametrize("name", architectures(PUBLISHED))
def test_counts_and_default_layer(name):
    model = abstract(name)
    assert (
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == PUBLISHED[name].parameters
    )
    assert not jax.tree.leaves(nnx.state(model, nnx.RngState))
    layer = models.default_layer(name)
    assert layer in {".".join(map(str, path)) for path, _ in nnx.iter_modules(model)}
    assert layer == LAYERS.get(name, layer)
    preprocess = models.preprocess(name)
    assert preprocess.size == (32 if name.startswith("cifar_") else PICTURES.get(name, 224))


@pytest.mark.parametrize(
    "name", architectures(name for name in models.names() if name.startswith(("alexnet", "vgg")))
)
def test_default_layer_is_the_last_relu_before_the_last_pool(name):
    """It keeps twice the positions of the pool's output: 14x14 in VGG, 13x13 in AlexNet."""
    model = abstract(name)
    _, number = models.default_layer(name).split(".")
    assert int(number) == len(model.features) - 2
    model.features = type(model.features)(list(model.features)[:-1])
    kept = output(model.features)
    assert kept.shape[1:3] == ((13, 13) if name == "alexnet" else (14, 14))


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_one_by_one_under_vmap_equals_the_batch(name, size, exact):
    graph, state = nnx.split(filled(name))
    images = jnp.asarray(synthetic.image(*size, batch=3))
    batch = jax.jit(apply, static_argnums=0)(graph, state, images)
    assert batch.shape == (3, 7)
    one_by_one = jax.jit(
        lambda state, images: jax.vmap(lambda image: apply(graph, state, image[None])[0])(images)
    )(state, images)
    np.testing.assert_allclose(one_by_one, batch, rtol=0, atol=1e-5 * float(jnp.abs(batch).max()))


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_bfloat16_is_near_float32(name, size):
    forward = jax.jit(apply, static_argnums=0)
    images = jnp.asarray(synthetic.image(*size))
    expected = np.asarray(forward(*nnx.split(filled(name)), images))
    model = filled(name, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype(jnp.bfloat16)}
    logits = forward(*nnx.split(model), images)
    assert logits.dtype == jnp.bfloat16
    error = np.abs(np.asarray(logits, np.float32) - expected).max()
    assert 0 < error < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize(("name", "size"), TRACED)
def test_the_compute_dtype_is_the_models(name, size):
    """Whatever the parameters' and the image's are."""
    for dtype in (jnp.float32, jnp.bfloat16):
        model = abstract(name, dtype=dtype)
        for image in (jnp.float32, jnp.bfloat16, jnp.float16):
            assert output(model, (1, *size, 3), image).dtype == dtype


@pytest.mark.parametrize(("name", "size"), TRACED)
def test_exports_for_every_platform(name, size):
    """Lowered on this machine for CPU, GPU and TPU at once, gradient included."""
    graph, state = nnx.split(abstract(name))

    def logit_and_gradient(state, images):
        return jax.value_and_grad(lambda x: apply(graph, state, x)[0, 0])(images)

    leaves, tree = jax.tree.flatten(state)
    exported = export.export(
        jax.jit(lambda leaves, images: logit_and_gradient(jax.tree.unflatten(tree, leaves), images)),
        platforms=["cpu", "cuda", "tpu"],
    )(leaves, jax.ShapeDtypeStruct((1, *size, 3), jnp.float32))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert exported.out_avals[1].shape == (1, *size, 3)


def test_an_exported_model_runs():
    graph, state = nnx.split(filled("mobilenet_v2"))
    leaves, tree = jax.tree.flatten(state)
    forward = jax.jit(lambda leaves, images: apply(graph, jax.tree.unflatten(tree, leaves), images))
    images = jnp.asarray(synthetic.image(33, 40))
    exported = export.export(forward, platforms=["cpu", "tpu"])(leaves, images)
    again = export.deserialize(exported.serialize())
    np.testing.assert_allclose(again.call(leaves, images), forward(leaves, images), rtol=1e-4, atol=1e-5)


def test_build():
    model = models.build("cifar_resnet20", num_classes=3, rngs=nnx.Rngs(1))
    logits = model(jnp.asarray(synthetic.image(8, 8)))
    assert logits.shape == (1, 3)
    assert logits.dtype == jnp.float32
    same = models.build("cifar_resnet20", num_classes=3, rngs=nnx.Rngs(1))
    other = models.build("cifar_resnet20", num_classes=3)
    kernels = [each.layer1[0].conv1.kernel[...] for each in (model, same, other)]
    assert (kernels[0] == kernels[1]).all()
    assert (kernels[0] != kernels[2]).any()
    assert (kernels[0] != model.layer1[0].conv2.kernel[...]).any()  # of equal shape


@pytest.mark.parametrize("name", ["mobilenet_v2", *tiny.SIZES])
def test_graph_definitions_compare_by_value(name):
    """So that a second model of the same architecture does not compile again."""
    first, second = (nnx.graphdef(abstract(name)) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 0}, "at least 1, got 0"),
        ({"num_classes": -3}, "at least 1, got -3"),
        ({"num_classes": True}, "got True"),
        ({"dtype": jnp.int32}, "dtype must be a floating point type"),
        ({"param_dtype": jnp.uint8}, "param_dtype must be a floating point type"),
    ],
)
def test_build_errors(options, words):
    with pytest.raises(ValueError, match=words):
        models.build("squeezenet1_1", **options)


def test_stochastic_depth_is_the_identity_until_it_trains():
    """And then leaves out an image's whole branch, or scales it up."""
    rate = 0.25
    options = {"rngs": nnx.Rngs(0), "dtype": jnp.float32, "param_dtype": jnp.float32}
    block = Block(8, rate=rate, epsilon=1e-6, activation=Gelu, responses=False, **options)
    block.layer_scale[...] = jnp.ones((8, 1, 1))
    x = jnp.asarray(synthetic.image(2, 8, batch=64).reshape(64, 2, 3, 8))
    added = np.asarray(block(x) - x)
    training = nnx.view(block, deterministic=False)
    training.stochastic_depth.rngs = nnx.Rngs(0).dropout.fork()
    branch = np.asarray(training(x) - x)
    kept = np.abs(branch).max((1, 2, 3)) > 0
    assert 4 < (~kept).sum() < 32
    np.testing.assert_allclose(branch[kept], added[kept] / (1 - rate), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("function", [models.build, models.default_layer, models.preprocess])
def test_unknown_names(function):
    with pytest.raises(ValueError, match=r"no model 'resnet5'; did you mean 'resnet50'\?.*models\.names\(\)"):
        function("resnet5")
    with pytest.raises(ValueError, match=r"no model 'ViT_B_32'; did you mean 'vit_b_32'\?"):
        function("ViT_B_32")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", (62, 80)),
        ("vgg11", (31, 40)),
        ("squeezenet1_0", (20, 50)),
        ("squeezenet1_1", (16, 50)),
        ("googlenet", (14, 50)),
        ("inception_v3", (74, 90)),
        ("densenet121", (28, 50)),
        ("convnext_tiny", (31, 40)),
        ("swin_t", (3, 40)),
    ],
)
def test_small_images_are_refused(name, size):
    with pytest.raises(ValueError, match="image is too small for this model"):
        output(abstract(name), (1, *size, 3))


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        (
            "vit_b_16",
            (256, 224),
            "a 256x224 image does not fit the table of positions: this model takes 224x224 images only, 14x14 patches",
        ),
        (
            "vit_b_32",
            (224, 225),
            "a 224x225 image does not divide into patches of 32x32: .* 224x224 images only",
        ),
        ("vit_h_14", (518, 518), "518x518 image does not fit .* 224x224 images only, 16x16 patches of 14x14"),
        ("maxvit_t", (448, 448), "takes 224x224 images only.*; got 448x448"),
        ("maxvit_t", (224, 192), "takes 224x224 images only.*; got 224x192"),
    ],
)
def test_transformers_of_one_size_name_it(name, size, words):
    with pytest.raises(ValueError, match=words):
        output(abstract(name), (1, *size, 3))


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", "maxvit_t"])
def test_transformers_refuse_other_inputs_too(name):
    model = abstract(name)
    with pytest.raises(ValueError, match=r"expected a batch \(B, H, W, 3\)"):
        output(model, (1, 3, 224, 224))
    with pytest.raises(TypeError, match="got uint8"):
        output(model, (1, 224, 224, 3), jnp.uint8)


def test_other_inputs_are_refused():
    model = abstract("resnet18")
    for shape in [(224, 224, 3), (1, 3, 224, 224)]:
        with pytest.raises(ValueError, match=r"expected a batch \(B, H, W, 3\)"):
            output(model, shape)
    with pytest.raises(TypeError, match="got uint8"):
        output(model, (1, 64, 64, 3), jnp.uint8)
