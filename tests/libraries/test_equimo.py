"""Equimo's ViT: Equinox modules inside modules, tokens after a class token and registers."""

import importlib.util

import jax
import numpy as np
import pytest

import jaxcam


@pytest.fixture(scope="module")
def vit():
    pytest.importorskip("equimo", reason="equimo is not installed: see the extra `libraries`")
    second = importlib.util.find_spec("equimo.vision")  # Equimo 2, for JAX from 0.11 on
    module = importlib.import_module("equimo.vision.models.vit" if second else "equimo.models.vit")
    sizes = {"img_size": 32, "in_channels": 3, "dim": 16, "patch_size": 8, "num_heads": 2, "depths": [2]}
    return module.VisionTransformer(**sizes, num_classes=5, reg_tokens=4, key=jax.random.key(0))


def test_blocks_by_path(vit, images, near):
    """The model tells how many tokens lead: `num_prefix_tokens`."""
    probe = jaxcam.probe(vit, "blocks[0].blocks[0]", call={"inference": True})
    maps, found = jaxcam.explain(probe, images, [1, 3], method="gradcam", raw=True, with_output=True)
    assert maps.shape == (2, 4, 4)
    assert np.asarray(maps).any(axis=(1, 2)).all()
    near(found[0], vit(np.moveaxis(images[0], -1, 0), inference=True))


def test_key_is_an_input(vit, images):
    probe = jaxcam.probe(vit, "patch_embed", inputs={"key": jax.random.key(0)}, tokens=0)
    assert jax.eval_shape(lambda x: probe(x)[1], images[0]).shape == (4, 4, 16)


def test_wrong_path(vit, images):
    with pytest.raises(ValueError, match=r"no layer 'block\[0\]'; did you mean 'blocks\[0\]'\?"):
        jaxcam.probe(vit, "block[0]")(images[0])
