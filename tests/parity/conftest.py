"""Both sides of a comparison: the same real weights in a network of ours and in torchvision's."""

import warnings

import numpy as np
import pytest
from _torchvision import load as load_torchvision

import converters
import jaxcam
from jaxcam import models

PICTURES = 12
LAYERS = {"squeezenet1_1": "features", "mobilenet_v2": "features"}


@pytest.fixture(scope="session", params=list(LAYERS))
def sides(request, data):
    """A probe and a torch model with the same weights, and a batch of pictures with their classes."""
    torch, torchvision = pytest.importorskip("torch"), load_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pytorch_grad_cam")
    name = request.param
    path = data / "weights" / f"{name}.pth"
    model = converters.load(name, path)
    peer = getattr(torchvision.models, name)(weights=None).eval()
    peer.load_state_dict(torch.load(path, weights_only=True))
    from PIL import Image

    files = sorted((data / "images").iterdir())[:: 100 // PICTURES][:PICTURES]
    preprocess = models.preprocess(name)
    batch = np.stack([preprocess(Image.open(file)) for file in files])
    classes = np.array([int(file.name[:4]) for file in files])
    return jaxcam.probe(model, LAYERS[name]), peer, batch, classes
