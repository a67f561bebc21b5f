"""Keras 3 on the JAX backend: functional, sequential and subclassed models, layers by name."""

import jax
import numpy as np
import pytest

import jaxcam


def output_of(model, inputs):
    """Compiled as a whole, which is faster than operation by operation."""
    return jax.jit(lambda inputs: model(inputs, training=False))(inputs)


@pytest.fixture(scope="module")
def functional(keras):
    """Two convolutions with a norm and a dropout between them, then a linear head over the mean."""
    x = images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="stem")(x)
    x = keras.layers.Dropout(0.5, name="drop")(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.Conv2D(8, 3, padding="same", name="body")(x)
    x = keras.layers.ReLU(name="body_out")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(5, name="classes")(x))


@pytest.fixture(scope="module")
def subclassed(keras):
    class Block(keras.layers.Layer):
        def __init__(self, channels, **options):
            super().__init__(**options)
            self.conv = keras.layers.Conv2D(channels, 3, padding="same", name="conv")
            self.drop = keras.layers.Dropout(0.5)

        def call(self, x):
            x = keras.ops.relu(self.conv(x))
            return self.drop(x), {"mean": keras.ops.mean(x, axis=(1, 2))}

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [Block(4, name="first"), Block(4, name="second")]
            self.pool = keras.layers.AveragePooling2D(2, name="pool")
            self.classes = keras.layers.Dense(5)

        def call(self, x):
            for block in self.blocks:
                x, _ = block(self.pool(x))
            return self.classes(keras.ops.mean(x, axis=(1, 2)))

        def embed(self, x):
            x, found = self.blocks[0](x)
            return found["mean"]

    model = Net()
    model(np.zeros((1, 32, 32, 3), "float32"))
    return model


def test_map_adds_up_to_the_score(functional, images, near):
    """HiResCAM at the last convolution before a mean and a linear head: the sum is the logit less the bias."""
    probe = jaxcam.probe(functional, "body_out")
    maps, found = jaxcam.explain(probe, images, [1, 3], method="hirescam", raw=True, with_output=True)
    near(found, output_of(functional, images))
    bias = functional.get_layer("classes").bias.value
    near(maps.sum((1, 2)), found[np.arange(2), [1, 3]] - bias[np.array([1, 3])])


def test_its_relus_and_biases_are_found_in_its_program(functional, images, near):
    """Guided backpropagation differs from the gradient, and all gradients of FullGrad add up to the logit."""
    from jaxcam.methods._fullgrad import full_gradient

    probe = jaxcam.probe(functional, (jaxcam.INPUT, "stem"))
    plain, rewritten = (
        jax.jit(lambda probe: probe.look(images[0], jaxcam.difference(1, 0)))(each)
        for each in (probe, jaxcam.guided(probe))
    )
    near(rewritten.output, plain.output)
    for layer in probe.layers:
        assert abs(plain.gradient[layer] - rewritten.gradient[layer]).max() > 1e-4
    found, _ = full_gradient(probe[jaxcam.INPUT], images[0], 1)
    biases = sum((each.value * each.gradient).sum() for each in found.biases)
    assert len(found.biases) == 4
    near((images[0] * found.gradient).sum() + biases, plain.output[1])


def test_gradient_is_the_derivative(keras, functional, images, near):
    """Against a second Keras model that ends at the layer, and a change of the activation there."""
    look = jaxcam.probe(functional, "norm").look(images[0], 2)
    until = keras.Model(functional.input, functional.get_layer("norm").output)
    near(look.activation, output_of(until, images[:1])[0])
    change = 1e-2 * np.sign(look.gradient)
    scores = [
        jaxcam.probe(functional, "norm")(images[0], lambda x, step=step: x + step * change)[0][2]
        for step in (-1, 1)
    ]
    np.testing.assert_allclose((scores[1] - scores[0]) / 2, (look.gradient * change).sum(), rtol=1e-2)


def test_model_is_left_as_it_was(keras, functional, images):
    layer = functional.get_layer("body")
    before = [variable.value for variable in functional.variables]
    state, nodes = dict(vars(layer)), len(layer._inbound_nodes)
    jaxcam.gradcam(jaxcam.probe(functional, "body"), images[0], 0)
    assert keras.distribution.distribution() is None
    assert vars(layer) == state
    assert len(layer._inbound_nodes) == nodes
    assert all(new.value is old for old, new in zip(before, functional.variables, strict=True))


def test_weights_are_arguments_and_programs_are_kept(functional, images):
    """After a step of training a new probe has the new weights, and what was compiled serves it."""
    count = 0

    @jax.jit
    def run(probe, image):
        nonlocal count
        count += 1
        return probe.look(image, 1).score

    kernel = functional.get_layer("classes").kernel
    kept = kernel.value
    first = run(jaxcam.probe(functional, "body"), images[0])
    try:
        kernel.assign(2 * kept)
        second = run(jaxcam.probe(functional, "body"), images[0])
    finally:
        kernel.assign(kept)
    assert count == 1
    assert len(jax.tree.leaves(jaxcam.probe(functional, "body"))) == len(functional.variables)
    assert float(first) != float(second)


def test_several_layers_and_the_input(functional, images):
    probe = jaxcam.probe(functional, ("stem", "body", jaxcam.INPUT))
    look = probe.look(images[0], 1)
    assert look.gradient["stem"].shape == (15, 15, 6)
    assert look.gradient["body"].shape == (15, 15, 8)
    assert look.gradient[jaxcam.INPUT].shape == (32, 32, 3)


def test_subclassed_by_path(subclassed, images, near):
    probe = jaxcam.probe(subclassed, "second/conv")
    near(probe(images[0])[0], output_of(subclassed, images[:1])[0])
    assert probe.look(images[0], 1).gradient.shape == (8, 8, 4)
    assert np.asarray(
        jaxcam.gradcam(jaxcam.probe(subclassed, "second"), images[0], 1)
    ).any()  # a tuple's one map


def test_layer_that_is_called_twice(subclassed, images):
    assert jaxcam.probe(subclassed, "pool[1]")(images[0])[1].shape == (8, 8, 4)
    with pytest.raises(ValueError, match="called more than once"):
        jaxcam.probe(subclassed, "pool")(images[0])


def test_another_method(subclassed, images, near):
    output, activation = jaxcam.probe(subclassed, "first/conv", method="embed")(images[0])
    near(output, np.maximum(activation, 0).mean((0, 1)))
    with pytest.raises(ValueError, match=r"no method 'embedd'; did you mean 'embed'\?"):
        jaxcam.probe(subclassed, "first/conv", method="embedd")


def test_wrong_names(functional, subclassed, images):
    with pytest.raises(ValueError, match=r"no layer 'body_outt'; did you mean 'body_out'\?"):
        jaxcam.probe(functional, "body_outt")(images[0])
    with pytest.raises(
        ValueError, match=r"2 layers are called 'conv': name one by its path, 'net\w*/first/conv'"
    ):
        jaxcam.probe(subclassed, "conv")(images[0])


def test_nested_and_shared_models(keras, functional, images, near):
    """A model inside a model, and one model of which two others are made."""
    inputs = keras.Input((32, 32, 3))
    outer = keras.Sequential([keras.layers.Rescaling(0.5), functional], name="outer")
    outer.build((None, 32, 32, 3))
    near(jaxcam.probe(outer, "body")(images[0])[1], jaxcam.probe(functional, "body")(images[0] / 2)[1])
    other = keras.Model(inputs, functional(inputs)[:, :2])
    assert jaxcam.probe(other, "body").look(images[0], 1).output.shape == (2,)


def test_further_inputs(keras, images, near):
    """A functional model of a picture and a vector: the vector is a leaf of the probe."""
    picture, vector = keras.Input((32, 32, 3)), keras.Input((8,))
    x = keras.layers.Conv2D(8, 3, name="conv")(picture)
    model = keras.Model([picture, vector], keras.layers.GlobalAveragePooling2D()(x) * vector)
    given = np.arange(8, dtype="float32")[None]
    output, _ = jaxcam.probe(model, "conv", inputs=(given,))(images[0])
    near(output, output_of(model, [images[:1], given])[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_policies_of_dtypes(keras, images, policy):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(8, 3, name="conv", dtype=policy),
            keras.layers.GlobalAveragePooling2D(dtype=policy),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )
    probe = jaxcam.probe(model, "conv")
    assert probe(images[0])[1].dtype == "bfloat16"
    assert probe.look(images[0], 1).gradient.dtype == "float32"
    assert np.isfinite(np.asarray(jaxcam.gradcam(probe, images[0], 1))).all()


def test_training_mode(keras, functional, images):
    with pytest.raises(ValueError, match="training mode"):
        jaxcam.probe(functional, "body", call={"training": True})

    class Always(keras.layers.Dropout):
        def call(self, inputs, training=False):
            return super().call(inputs, training=True)

    layers = [keras.layers.Conv2D(4, 3, name="conv"), Always(0.5), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    with pytest.raises(ValueError, match="seed_generator_state' of Sequential runs in training mode"):
        jaxcam.probe(model, "conv")(images[0])


def test_models_that_cannot_be_probed(keras, functional, monkeypatch):
    first = keras.Sequential(
        [keras.Input((3, 32, 32)), keras.layers.Conv2D(4, 3, data_format="channels_first")]
    )
    with pytest.raises(ValueError, match=r"'conv2d.*' has its channels first.*channels_last"):
        jaxcam.probe(first, "conv2d")
    with pytest.raises(TypeError, match=r"got Conv2D: put it into a keras\.Sequential"):
        jaxcam.probe(functional.get_layer("body"), "body")
    with pytest.raises(ValueError, match="Sequential has no variables yet: call it once"):
        jaxcam.probe(keras.Sequential([keras.layers.Conv2D(4, 3, name="conv")]), "conv")
    with pytest.raises(TypeError, match="a Keras model holds its variables"):
        jaxcam.probe(functional, "body", variables={})
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(TypeError, match='set KERAS_BACKEND="jax"'):
        jaxcam.probe(functional, "body")


def test_exported_and_restored(functional, images, near, tmp_path):
    probe = jaxcam.probe(functional, "body")
    file = tmp_path / "explainer.jaxcam"
    jaxcam.export(probe, file, image=(32, 32, 3), method="gradcam", platforms=("cpu",))
    near(jaxcam.restore(file)(images, [1, 3]), jaxcam.explain(probe, images, [1, 3], method="gradcam"))


def test_resnet_50_by_the_name_of_its_layer(keras):
    """The names that everybody knows; not run, only traced."""
    model = keras.applications.ResNet50(weights=None, classes=10)
    probe = jaxcam.probe(model, "conv5_block3_out")
    look = jax.eval_shape(lambda probe, x: probe.look(x, 1), probe, np.zeros((64, 64, 3), "float32"))
    assert look.gradient.shape == (2, 2, 2048)


@pytest.mark.parametrize("check_vma", [False, True])
def test_inside_a_shard_map(functional, subclassed, images, near, check_vma):
    mesh, spec = jax.make_mesh((1,), ("data",)), jax.sharding.PartitionSpec
    images = jax.device_put(images, jax.sharding.NamedSharding(mesh, spec("data")))

    def maps(probe):
        run = jax.shard_map(
            lambda probe, images: jax.vmap(lambda image: jaxcam.hirescam(probe, image, 1))(images),
            mesh=mesh,
            in_specs=(spec(), spec("data")),
            out_specs=spec("data"),
            check_vma=check_vma,
        )
        return jax.jit(run)(probe, images)

    probe = jaxcam.probe(functional, "body")  # a ReLU follows, which looks at the sharding
    near(maps(probe), jaxcam.explain(probe, np.asarray(images), 1, method="hirescam", raw=True))
    assert check_vma or maps(jaxcam.probe(subclassed, "first")).shape == (2, 16, 16)  # a tuple


def test_hub_resnet(hub, images, near):
    backbone = hub.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    model = hub.ResNetImageClassifier(backbone=backbone, num_classes=4)
    maps, found = jaxcam.explain(
        jaxcam.probe(model, "stack1_block0_out"),
        images,
        [0, 2],
        method="hirescam",
        raw=True,
        with_output=True,
    )
    near(found, output_of(model, images))
    bias = model.get_layer("predictions").bias.value
    near(maps.sum((1, 2)), found[np.arange(2), [0, 2]] - bias[np.array([0, 2])])


def test_hub_vit(hub, images, near):
    """Tokens after a class token. The classifier reads that token, so the last block gets no gradient elsewhere."""
    backbone = hub.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    model = hub.ViTImageClassifier(backbone=backbone, num_classes=4)
    probe = jaxcam.probe(model, "transformer_block_1")
    look = jax.jit(lambda probe, x: probe.look(x, 1))(probe, images[0])
    near(look.output, output_of(model, images[:1])[0])
    assert look.gradient.shape == (4, 4, 16)
    with pytest.raises(ValueError, match="vit_encoder/transformer_block_2"):
        jaxcam.probe(model, "ln_1")(images[0])


def test_hub_clip_is_asked_by_a_text(hub, images, near):
    """The blocks of both towers have the same names; the text's run first."""
    sizes = {"hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    vision = hub.CLIPVisionEncoder(patch_size=8, num_layers=2, image_shape=(32, 32, 3), **sizes)
    text = hub.CLIPTextEncoder(
        vocabulary_size=50, embedding_dim=16, num_layers=2, max_sequence_length=6, **sizes
    )
    model = hub.CLIPBackbone(vision, text, projection_dim=8)
    prompts = np.array([[1, 7, 9, 2, 0, 0], [1, 8, 3, 4, 2, 0], [1, 5, 2, 0, 0, 0]], "int32")

    def read(output):
        return output["vision_logits"]

    probe = jaxcam.probe(model, "encoder_block_0[1]", inputs={"token_ids": prompts}, read=read)
    look = jax.jit(lambda probe, x: probe.look(x, 2))(probe, images[0])
    near(look.output, output_of(model, {"images": images[:1], "token_ids": prompts})["vision_logits"][0])
    assert look.gradient.shape == (4, 4, 16)
    assert np.asarray(look.gradient).any()
    with pytest.raises(ValueError, match=r"called more than once .* 'encoder_block_0\[0\]' to"):
        jaxcam.probe(model, "encoder_block_0", inputs={"token_ids": prompts}, read=read)(images[0])


def test_layers_inside_remat_and_loops(keras, images, near):
    class Thrice(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(3, 3, padding="same", name="step")

        def build(self, shape):
            self.conv.build(shape)

        def call(self, x):
            return keras.ops.scan(lambda x, _: (keras.ops.tanh(self.conv(x)), None), x, length=3)[0]

    inputs = keras.Input((32, 32, 3))
    with keras.RematScope(mode="full"):
        block = keras.Sequential([keras.layers.Conv2D(3, 3, name="kept"), keras.layers.ReLU()])
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(Thrice()(block(inputs))))
    probe = jaxcam.probe(model, ("kept", "step[2]"))
    look = jax.jit(lambda probe, x: probe.look(x, 1))(probe, images[0])
    near(look.output, output_of(model, images[:1])[0])
    near(look.output, np.tanh(look.activation["step[2]"]).mean((0, 1)))
    assert np.asarray(look.gradient["kept"]).any()
