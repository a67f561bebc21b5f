"""Real checkpoints recognise real pictures exactly as often as they do in torch."""

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import converters
from jaxcam import models

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def pictures(data):
    """The 100 pictures, prepared, and their classes, which are in the file names."""
    paths = sorted((data / "images").glob("*.JPEG"))
    prepare = models.preprocess("mobilenet_v2")
    images = []
    for path in paths:
        with Image.open(path) as picture:
            images.append(prepare(picture))
    return np.stack(images), np.array([int(path.name[:4]) for path in paths])


@pytest.mark.parametrize(
    ("name", "right", "among_five"), [("squeezenet1_1", 65, 87), ("mobilenet_v2", 85, 97)]
)
def test_imagenet(name, right, among_five, data, pictures):
    images, classes = pictures
    assert len(images) == 100
    model = converters.from_torch(
        nnx.eval_shape(lambda: models.build(name)), converters.read(data / "weights" / f"{name}.pth")
    )
    graph, state = nnx.split(model)
    forward = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    logits = np.concatenate([forward(state, images[i : i + 20]) for i in range(0, 100, 20)])
    ranked = np.argsort(-logits, axis=1)
    assert (ranked[:, 0] == classes).sum() == right
    assert (ranked[:, :5] == classes[:, None]).any(1).sum() == among_five


@pytest.mark.parity
@pytest.mark.parametrize("file", ["cifar10_resnet20-12fca82f.th", "cifar10_resnet56-4bfd9763.th"])
def test_cifar_checkpoints(file, data, pictures, exact):
    """No CIFAR pictures are at hand: the logits of ImageNet's, made small, equal torch's."""
    import reference
    import torch

    name = "cifar_" + file.removeprefix("cifar10_").partition("-")[0]
    path = data / "weights" / file
    prepare = models.preprocess(name)
    images = []
    for picture in sorted((data / "images").glob("*.JPEG"))[:16]:
        with Image.open(picture) as opened:
            images.append(prepare(opened))
    images = np.stack(images)
    model = converters.from_torch(nnx.eval_shape(lambda: models.build(name)), converters.read(path))
    stored = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    state = {key.removeprefix("module."): value.numpy() for key, value in stored.items()}
    with torch.inference_mode():
        expected = reference.model(name, state, 10)(torch.from_numpy(images)).numpy()
    graph, arrays = nnx.split(model)
    logits = np.asarray(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(arrays, images))
    assert len(set(expected.argmax(1))) > 3
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
