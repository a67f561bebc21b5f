"""Displayed maps of methods of gradients and heads against pytorch-grad-cam, TorchCAM and captum: real weights, real
pictures, both sides at the same layer and target."""

import copy
import warnings

import jax
import numpy as np
import pytest

import jaxcam

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]
PICTURES = 6
# Layers of both networks, by their names here and in torchvision
SEVERAL = {
    "squeezenet1_1": ("features.7", "features.9", "features.12"),
    "mobilenet_v2": ("features.6", "features.13", "features.18"),
}


@pytest.fixture(scope="module")
def six(sides):
    """The two sides for six pictures: a probe, a torch model, pictures, classes, and the pictures for torch."""
    import torch

    probe, peer, batch, classes = sides
    batch, classes = batch[:PICTURES], classes[:PICTURES]
    return probe, peer, batch, classes, torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))


def peers_maps(cam, images, targets, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cam(images, targets, **options)


def of_classes(classes):
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    return [ClassifierOutputTarget(int(each)) for each in classes]


def close(ours, theirs, *, either=None):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    error = abs(ours - theirs).max(axis=(1, 2))
    if either is not None:
        error = np.minimum(error, abs(np.asarray(either) - theirs).max(axis=(1, 2)))
    assert theirs.max() > 0.9
    print(f"largest difference of {len(ours)} maps {error.max():.1e}")
    assert error.max() <= 1e-4


@pytest.mark.parametrize(
    ("name", "peers_name"), [("fem", "FEM"), ("kpcacam", "KPCA_CAM"), ("segeigencam", "SegEigenCAM")]
)
def test_displayed_maps_agree(six, name, peers_name):
    probe, peer, batch, classes, images = six
    import pytorch_grad_cam.kpca_cam
    import pytorch_grad_cam.seg_eigen_cam

    with getattr(pytorch_grad_cam, peers_name)(peer, [peer.features]) as cam:
        theirs = peers_maps(cam, images, of_classes(classes))
    raw = jaxcam.explain(probe, batch, classes, method=name, raw=True)
    size = batch.shape[1:3]
    close(
        jaxcam.display(raw, size=size),
        theirs,
        either=jaxcam.display(-raw, size=size) if name == "kpcacam" else None,
    )


@pytest.mark.parametrize("target", ["logit", "rest"])
def test_shapleycam_agrees(six, target):
    from pytorch_grad_cam import ShapleyCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST

    probe, peer, batch, classes, images = six
    peer = not_in_place(peer)
    theirs_of = of_classes(classes) if target == "logit" else [ClassifierOutputReST(int(c)) for c in classes]
    with ShapleyCAM(peer, [peer.features]) as cam:
        theirs = peers_maps(cam, images, theirs_of)
    targets = classes if target == "logit" else jax.vmap(jaxcam.rest)(classes)
    raw = jax.jit(jax.vmap(jaxcam.shapleycam, (None, 0, 0)))(probe, batch, targets)
    close(jaxcam.display(raw, size=batch.shape[1:3]), theirs)


def not_in_place(peer):
    import torch

    peer = copy.deepcopy(peer)
    for module in peer.modules():
        if isinstance(module, torch.nn.ReLU | torch.nn.ReLU6):
            module.inplace = False
    return peer


def test_liftcam_agrees_with_deeplift(six):
    import torch
    from captum.attr import LayerDeepLift

    probe, peer, batch, classes, images = six
    peer = not_in_place(peer)
    layer = peer.features
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lifted = LayerDeepLift(peer, layer).attribute(
            images, torch.zeros_like(images), target=torch.from_numpy(classes)
        )
    with torch.no_grad():
        weights = lifted.sum((2, 3), keepdim=True)
        theirs = np.asarray((weights * layer(images)).sum(1))
    baseline = probe(np.zeros_like(batch[0]))[1]
    raw = jaxcam.explain(probe, batch, classes, method="liftcam", baseline=baseline, raw=True)
    shown = jaxcam.display(theirs, size=batch.shape[1:3])
    close(jaxcam.display(raw, size=batch.shape[1:3]), shown)
    np.testing.assert_allclose(raw, theirs, rtol=1e-3, atol=1e-4 * abs(theirs).max())
