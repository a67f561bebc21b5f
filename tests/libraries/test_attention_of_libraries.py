"""The attention of transformers of other libraries, beside what they say of it themselves."""

import importlib.util

import jax
import numpy as np
import pytest

import jaxcam
from jaxcam.probes._attention import attention

METHODS = (jaxcam.rollout, jaxcam.attention_relevance, jaxcam.legrad, jaxcam.gradeclip)


def maps(probe, image):
    return jax.jit(lambda probe, image: [method(probe, image, 1) for method in METHODS])(probe, image)


def probabilities(probe, image):
    return jax.jit(lambda probe, image: attention(probe, image, method="a test").probabilities())(
        probe, image
    )


def test_keras(keras, images, near):
    """Two blocks and a mean, dropout and all."""
    x = inputs = keras.Input((32, 32, 3))
    x = keras.layers.Reshape((16, 8), name="tokens")(keras.layers.Conv2D(8, 8, strides=8)(x))
    said = []
    for _ in range(2):
        y = keras.layers.LayerNormalization()(x)
        y, scores = keras.layers.MultiHeadAttention(2, 4, dropout=0.3)(y, y, return_attention_scores=True)
        said.append(scores)
        y = x = x + y
        x = x + keras.layers.Dense(8)(keras.layers.Dense(16, activation="gelu")(y))
    logits = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling1D()(x))
    probe = jaxcam.probe(keras.Model(inputs, logits), "tokens")
    for found, wanted in zip(
        probabilities(probe, images[0]), keras.Model(inputs, said)(images[:1]), strict=True
    ):
        near(found, wanted[0])
    for shown in maps(probe, images[0]):
        assert shown.shape == (4, 4)
        assert np.ptp(shown) > 0


def test_keras_hub_vit(hub, images):
    backbone = hub.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    probe = jaxcam.probe(hub.ViTImageClassifier(backbone=backbone, num_classes=5), "vit_encoder")
    rolled, *others = maps(probe, images[0])
    assert 0 < float(rolled.sum()) < 1  # the class token keeps the rest
    for shown in others:
        assert shown.shape == (4, 4)
        assert np.isfinite(shown).all()


def test_equimo_vit(images):
    pytest.importorskip("equimo", reason="equimo is not installed: see the extra `libraries`")
    second = importlib.util.find_spec("equimo.vision")  # Equimo 2, for JAX from 0.11 on
    module = importlib.import_module("equimo.vision.models.vit" if second else "equimo.models.vit")
    sizes = {"img_size": 32, "in_channels": 3, "dim": 16, "patch_size": 8, "num_heads": 2, "depths": [2]}
    model = module.VisionTransformer(**sizes, num_classes=5, reg_tokens=4, key=jax.random.key(0))
    probe = jaxcam.probe(model, "blocks[0].blocks[0]", call={"inference": True})
    assert [each.shape for each in jax.eval_shape(probabilities, probe, images[0])] == [(2, 21, 21)] * 2
    for shown in maps(probe, images[0]):
        assert shown.shape == (4, 4)
        assert np.isfinite(shown).all()
