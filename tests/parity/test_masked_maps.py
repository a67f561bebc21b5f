"""Displayed maps of Score-CAM and Ablation-CAM against pytorch-grad-cam: real weights, the middle of pictures."""

import warnings

import numpy as np
import pytest
from _torchvision import load as load_torchvision

import converters
import jaxcam
from jaxcam import models

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]
MODEL, LAYER, SIDE = "squeezenet1_1", "features", 111  # 6 x 6 positions and 512 masks; small, for speed
PICTURES = ("0340", "0650")


@pytest.fixture(scope="module")
def sides(data):
    """A probe and a torch model with the same weights, and a batch of pictures with their classes."""
    torch, torchvision = pytest.importorskip("torch"), load_torchvision()
    from PIL import Image

    path = data / "weights" / f"{MODEL}.pth"
    peer = getattr(torchvision.models, MODEL)(weights=None).eval()
    peer.load_state_dict(torch.load(path, weights_only=True))
    preprocess = models.preprocess(MODEL)
    files = [next((data / "images").glob(f"{number}_*")) for number in PICTURES]
    middle = slice((224 - SIDE) // 2, (224 + SIDE) // 2)
    batch = np.stack([preprocess(Image.open(file))[middle, middle] for file in files])
    return jaxcam.probe(converters.load(MODEL, path), LAYER), peer, batch, [int(c) for c in PICTURES]


@pytest.mark.parametrize(("name", "peers_name"), [("scorecam", "ScoreCAM"), ("ablationcam", "AblationCAM")])
def test_displayed_maps_agree(sides, name, peers_name):
    probe, peer, batch, classes = sides
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
        import torch
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
        with getattr(pytorch_grad_cam, peers_name)(peer, [peer.features]) as cam:
            theirs = cam(images, [ClassifierOutputTarget(c) for c in classes])
    ours = np.asarray(jaxcam.explain(probe, batch, classes, method=name))
    assert theirs.max() > 0.9
    error = abs(ours - theirs).max()
    print(f"{name}: largest difference {error:.1e}")
    assert error <= 1e-4
