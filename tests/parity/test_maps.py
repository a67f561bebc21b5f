"""Displayed maps against pytorch-grad-cam: real weights, real pictures, both sides at the same layer and target."""

import warnings

import jax
import numpy as np
import pytest
from reference import PEERS

import jaxcam

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]


def peers_maps(method, model, batch, classes, layer):
    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    with warnings.catch_warnings(), getattr(pytorch_grad_cam, method)(model, [layer]) as cam:
        warnings.simplefilter("ignore")
        return cam(images, [ClassifierOutputTarget(int(c)) for c in classes])


@pytest.mark.parametrize("name", PEERS)
def test_displayed_maps_agree(sides, name):
    probe, peer, batch, classes = sides
    theirs = peers_maps(PEERS[name], peer, batch, classes, peer.features)
    ours = np.asarray(jaxcam.explain(probe, batch, classes, method=name))
    assert theirs.max() > 0.9
    if name.startswith(
        "eigen"
    ):  # the peer's sign is whatever LAPACK returned: compare with the map or its negative
        raw = jaxcam.explain(probe, batch, classes, method=name, raw=True)
        turned = np.asarray(jaxcam.display(-raw, size=batch.shape[1:3]))
        error = np.minimum(abs(ours - theirs).max(axis=(1, 2)), abs(turned - theirs).max(axis=(1, 2)))
    else:
        error = abs(ours - theirs).max(axis=(1, 2))
    print(f"{name}: largest difference of {len(batch)} maps {error.max():.1e}")
    assert error.max() <= 1e-4


def test_logits_agree(sides):
    import torch

    probe, peer, batch, _ = sides
    with torch.no_grad():
        theirs = peer(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))).numpy()
    ours = jax.jit(jax.vmap(lambda p, x: p(x)[0], in_axes=(None, 0)))(probe, batch)
    assert abs(np.asarray(ours) - theirs).max() <= 1e-4 * abs(theirs).max()
