"""Models that are called as those of libraries that are not in the registry: big_vision, vision_transformer, bonsai.

The models are our own and small. Of the libraries they have the names of the layers, what the calls take and what they
return: tuples, dictionaries, scanned encoders, `rngs` in the call, the channels first.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jaxcam

IMAGES = np.asarray(jax.random.normal(jax.random.key(3), (2, 16, 16, 3)))


class Encoder1DBlock(nn.Module):
    """big_vision's: returns the tokens, and a dictionary of what is inside."""

    @nn.compact
    def __call__(self, x, deterministic=True):
        out = {}
        y = nn.LayerNorm()(x)
        y = out["sa"] = nn.MultiHeadDotProductAttention(num_heads=2, deterministic=deterministic)(y, y)
        x = out["+sa"] = x + nn.Dropout(0.1)(y, deterministic)
        y = out["mlp"] = nn.Dense(8)(nn.gelu(nn.Dense(16)(nn.LayerNorm()(x))))
        x = out["+mlp"] = x + y
        return x, out


class Encoder(nn.Module):
    scan: bool

    @nn.compact
    def __call__(self, x, deterministic=True):
        out = {}
        if self.scan:
            block = nn.remat(Encoder1DBlock, prevent_cse=False, static_argnums=(2,))
            stack = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=nn.broadcast,
                length=2,
            )
            x, out["blocks"] = stack(name="encoderblock")(x, deterministic)
        else:
            for number in range(2):
                x, out[f"block{number:02d}"] = Encoder1DBlock(name=f"encoderblock_{number}")(x, deterministic)
        return nn.LayerNorm(name="encoder_norm")(x), out


@dataclasses.dataclass
class Config:
    """A configuration that can be changed, so that it has no hash."""

    size: tuple[int, int]


class BigVision(nn.Module):
    scan: bool = False

    @nn.compact
    def __call__(self, image, *, train=False):
        out = {}
        x = out["stem"] = nn.Conv(8, (4, 4), strides=(4, 4), padding="VALID", name="embedding")(image)
        x = x.reshape(len(image), -1, 8) + self.param("pos_embedding", nn.initializers.normal(), (1, 16, 8))
        x, out["encoder"] = Encoder(self.scan, name="Transformer")(x, deterministic=not train)
        out["encoded"] = x
        x = out["logits"] = nn.Dense(5, name="head")(jnp.mean(x, axis=1))
        return x, out


def first(output):
    return output[0]


@functools.cache
def big_vision(scan):
    """The model, and the weights of the scanned one in its form."""
    variables = jax.jit(BigVision(True).init)(jax.random.key(0), IMAGES)
    if scan:
        return BigVision(True), variables
    parameters = dict(variables["params"])
    transformer = dict(parameters["Transformer"])
    stack = transformer.pop("encoderblock")
    for number in range(2):
        transformer[f"encoderblock_{number}"] = jax.tree.map(lambda leaf, n=number: leaf[n], stack)
    return BigVision(False), {"params": parameters | {"Transformer": transformer}}


def test_big_vision_outputs_are_tuples():
    """The last norm is followed by a mean and a linear head: the map adds up to the logit less the bias."""
    model, variables = big_vision(False)
    probe = jaxcam.probe(model, "Transformer.encoder_norm", variables=variables, read=first)
    maps, found = jaxcam.explain(probe, IMAGES, [1, 3], method="hirescam", raw=True, with_output=True)
    wanted = jax.jit(model.apply)(variables, IMAGES)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    bias, chosen = variables["params"]["head"]["bias"], jnp.array([1, 3])
    np.testing.assert_allclose(
        jnp.sum(maps, axis=(1, 2)), found[jnp.arange(2), chosen] - bias[chosen], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("number", [0, 1])
def test_big_vision_scanned_encoder(number):
    """A block of a scanned encoder has the activation and the gradient of the same block without the scan."""
    look = jax.jit(lambda probe, x: probe.look(x, 2))
    found = [
        look(jaxcam.probe(model, f"Transformer.{layer}:0", variables=variables, read=first), IMAGES[0])
        for layer, (model, variables) in (
            (f"encoderblock_{number}", big_vision(False)),
            (f"encoderblock[{number}]", big_vision(True)),
        )
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.asarray(found[0].gradient).any()


def test_big_vision_says_which_leaves_there_are():
    model, variables = big_vision(False)
    with pytest.raises(
        ValueError, match=r"several leaves .*'Transformer.encoderblock_1:0'.*'1\.\+mlp' \(1, 16, 8\)"
    ):
        jaxcam.probe(model, "Transformer.encoderblock_1", variables=variables, read=first)(IMAGES[0])


class VisionTransformer(nn.Module):
    """vision_transformer's: `train` has no default, a class token leads, an attribute cannot be hashed."""

    patches: Any

    @nn.compact
    def __call__(self, inputs, *, train):
        size = self.patches.size
        x = nn.Conv(8, size, strides=size, padding="VALID", name="embedding")(inputs)
        x = x.reshape(len(inputs), -1, 8)
        token = self.param("cls", nn.initializers.normal(), (1, 1, 8))
        x = jnp.concatenate([jnp.tile(token, (len(x), 1, 1)), x], axis=1)
        x = nn.Dropout(0.1)(x, deterministic=not train)
        for number in range(2):
            x, _ = Encoder1DBlock(name=f"encoderblock_{number}")(x, not train)
        return nn.Dense(5, name="head")(x[:, 0])


def test_vision_transformer_has_a_class_token():
    model = VisionTransformer(Config((4, 4)))
    variables = jax.jit(lambda: model.init(jax.random.key(0), IMAGES, train=False))()
    probe = jaxcam.probe(
        model, "encoderblock_1.LayerNorm_0", variables=variables, call={"train": False}, tokens=1
    )
    look = jax.jit(lambda probe, x: probe.look(x, 1))(probe, IMAGES[0])
    assert look.gradient.shape == (4, 4, 8)
    assert np.asarray(look.gradient).any()
    again = jaxcam.probe(
        VisionTransformer(Config((4, 4))), "head", variables=variables, call={"train": False}
    )
    other = jaxcam.probe(
        VisionTransformer(Config((2, 2))), "head", variables=variables, call={"train": False}
    )
    assert again.anatomy != other.anatomy
    assert again.anatomy == jaxcam.probe(model, "head", variables=variables, call={"train": False}).anatomy


class BonsaiBlock(nnx.Module):
    def __init__(self, *, rngs):
        self.attention = nnx.MultiHeadAttention(num_heads=2, in_features=8, decode=False, rngs=rngs)
        self.linear = nnx.Linear(8, 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, deterministic=False)
        self.norm = nnx.LayerNorm(8, rngs=rngs)

    def __call__(self, x, *, rngs):
        x = x + self.attention(self.norm(x), rngs=rngs)
        return x + self.dropout(jax.nn.gelu(self.linear(x)), rngs=rngs)


class BonsaiViT(nnx.Module):
    """bonsai's: `rngs` in every call, dropouts that are not deterministic until the model is viewed as evaluated."""

    def __init__(self, *, rngs):
        self.projection = nnx.Conv(3, 8, (4, 4), strides=(4, 4), rngs=rngs)
        self.token = nnx.Param(jax.random.normal(rngs.params(), (1, 1, 8)))
        self.layers = nnx.List([BonsaiBlock(rngs=rngs) for _ in range(2)])
        self.classifier = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x, *, rngs):
        x = self.projection(x).reshape(len(x), -1, 8)
        x = jnp.concatenate([jnp.tile(self.token[...], (len(x), 1, 1)), x], axis=1)
        for layer in self.layers:
            x = layer(x, rngs=rngs)
        return self.classifier(x[:, 0])


@pytest.mark.parametrize("rngs", [None, nnx.Rngs(0)], ids=["none", "rngs"])
def test_bonsai_vit_takes_rngs(rngs):
    probe = jaxcam.probe(BonsaiViT(rngs=nnx.Rngs(1)), "layers[0]", call={"rngs": rngs})
    look = jax.jit(lambda probe, x: probe.look(x, 1))(probe, IMAGES[0])
    assert look.gradient.shape == (4, 4, 8)
    assert np.asarray(look.gradient).any()


class BonsaiConvNeXt(nnx.Module):
    """bonsai's: `rngs` is a key, which nothing reads in evaluation; the configuration cannot be hashed."""

    def __init__(self, *, rngs):
        self.config = Config((4, 4))
        self.stages = nnx.List(
            [nnx.Conv(3, 8, (4, 4), strides=(4, 4), rngs=rngs), nnx.Linear(8, 8, rngs=rngs)]
        )
        self.head = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x, *, rngs, train=False):
        for stage in self.stages:
            x = jax.nn.gelu(stage(x))
        if train:
            x = x * jax.random.bernoulli(rngs, 0.9, (len(x), 1, 1, 1))
        return self.head(jnp.mean(x, axis=(1, 2)))


def test_bonsai_convnext_takes_a_key():
    model = BonsaiConvNeXt(rngs=nnx.Rngs(1))
    probe = jaxcam.probe(model, "stages[1]", inputs={"rngs": jax.random.key(0)})
    output, activation = jax.jit(lambda probe, x: probe(x))(probe, IMAGES[0])
    wanted = model(IMAGES[:1], rngs=jax.random.key(0))[0]
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)
    assert activation.shape == (4, 4, 8)


class Dinov3(nnx.Module):
    """bonsai's: the channels first, a class token and four registers, and a dictionary."""

    def __init__(self, *, rngs):
        self.patches = nnx.Conv(3, 8, (4, 4), strides=(4, 4), rngs=rngs)
        self.prefix = nnx.Param(jax.random.normal(rngs.params(), (1, 5, 8)))
        self.layer = nnx.List([BonsaiBlock(rngs=rngs) for _ in range(2)])

    def __call__(self, pixel_values):
        x = self.patches(pixel_values.transpose(0, 2, 3, 1)).reshape(len(pixel_values), -1, 8)
        x = jnp.concatenate([jnp.tile(self.prefix[...], (len(x), 1, 1)), x], axis=1)
        for layer in self.layer:
            x = layer(x, rngs=None)
        return {"last_hidden_state": x, "pooler_output": x[:, 0]}


class ChannelsLast(nnx.Module):
    def __init__(self, model):
        self.model = model

    def __call__(self, images):
        return self.model(jnp.moveaxis(images, -1, 1))


def test_dinov3_is_embedded_and_compared():
    """Similarity of a picture with another: at the second to last block, whose tokens the class token still reads."""
    model = ChannelsLast(Dinov3(rngs=nnx.Rngs(1)))
    probe = jaxcam.probe(model, "model.layer[-2]", tokens=5, read=lambda output: output["pooler_output"])
    other, _ = probe(IMAGES[1])
    look = jax.jit(lambda probe, x: probe.look(x, jaxcam.similarity(other)))(probe, IMAGES[0])
    assert look.output.shape == (8,)
    assert look.gradient.shape == (4, 4, 8)
    assert np.asarray(look.gradient).any()
    with pytest.raises(ValueError, match="tokens=5 leaves 4x4"):
        jaxcam.probe(model, "model.layer[-2]")(IMAGES[0])
