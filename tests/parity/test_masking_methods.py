"""SS-CAM and IS-CAM against TorchCAM, occlusion against captum: real weights, the middle of pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _torchvision import load as load_torchvision
from flax import nnx

import converters
import jaxcam
from jaxcam import models

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]
SIDE = 96  # small, for speed
PICTURES = ("0130", "0280", "0340", "0510", "0650", "0900")
KEPT = 8  # channels of the layer, its first ones, for speed: each is a mask in every draw


class First(nnx.Module):
    def __call__(self, activation):
        return activation[..., :KEPT]


class Parted(nnx.Module):
    """A layer whose first channels are a layer of their own."""

    def __init__(self, layer):
        self.layer, self.first = layer, First()

    def __call__(self, x):
        activation = self.layer(x)
        return jnp.concatenate([self.first(activation), activation[..., KEPT:]], axis=-1)


@pytest.fixture(scope="module", params=["squeezenet1_1", "mobilenet_v2"])
def sides(request, data):
    """A model of ours and one of torch with the same weights, and pictures with their classes."""
    torch, torchvision = pytest.importorskip("torch"), load_torchvision()
    from PIL import Image

    path = data / "weights" / f"{request.param}.pth"
    peer = getattr(torchvision.models, request.param)(weights=None).eval()
    peer.load_state_dict(torch.load(path, weights_only=True))
    preprocess = models.preprocess(request.param)
    files = [next((data / "images").glob(f"{number}_*")) for number in PICTURES]
    middle = slice((224 - SIDE) // 2, (224 + SIDE) // 2)
    batch = np.stack([preprocess(Image.open(file))[middle, middle] for file in files])
    return converters.load(request.param, path), peer, batch, [int(number) for number in PICTURES]


def draws(key, samples):
    """What `sscam` adds to each mask: (samples, channels, side, side)."""
    numbers = jnp.arange(KEPT * samples)
    each = jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), (SIDE, SIDE)))(numbers)
    return np.asarray(each).reshape(KEPT, samples, SIDE, SIDE).swapaxes(0, 1)


@pytest.mark.parametrize(
    ("name", "options", "peers_name", "peers_options"),
    [
        ("sscam", {"samples": 2}, "SSCAM", {"num_samples": 2}),
        ("iscam", {"steps": 2}, "ISCAM", {"num_samples": 2}),
    ],
)
def test_torchcams_displayed_maps_agree(sides, name, options, peers_name, peers_options):
    torch, methods = pytest.importorskip("torch"), pytest.importorskip("torchcam.methods")
    model, peer, batch, classes = sides
    model = nnx.clone(model)
    model.features = Parted(model.features)
    theirs = []
    with getattr(methods, peers_name)(peer, [peer.features], batch_size=64, **peers_options) as cam:
        for image, index in zip(batch, classes, strict=True):
            with torch.no_grad():
                peer(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None])
            cam.hook_a[0] = cam.hook_a[0][:, :KEPT]
            if name == "sscam":
                drawn = iter(cam.std * draws(jax.random.key(0), options["samples"]))
                cam._distrib.sample = lambda size, drawn=drawn: torch.from_numpy(next(drawn)[None])
            theirs.append(cam(class_idx=index)[0][0].numpy())
    theirs = np.asarray(jaxcam.display(np.stack(theirs), size=(SIDE, SIDE)))
    probe = jaxcam.probe(model, "features.first")
    ours = np.asarray(jaxcam.explain(probe, batch, classes, method=name, **options))
    assert theirs.max(axis=(1, 2)).min() > 0.9
    error = abs(ours - theirs).max()
    print(f"{name}: largest difference of {len(batch)} maps {error:.1e}")
    assert error <= 1e-4


def test_captums_occlusion_agrees(sides):
    torch, attr = pytest.importorskip("torch"), pytest.importorskip("captum.attr")
    model, peer, batch, classes = sides
    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        theirs = attr.Occlusion(peer).attribute(
            images, target=classes, sliding_window_shapes=(3, 32, 40), strides=(3, 24, 28), baselines=0.5
        )
    theirs = theirs[:, 0].numpy()  # the same in every channel
    options = {"patch": (32, 40), "stride": (24, 28), "baseline": 0.5}
    probe = jaxcam.probe(model, jaxcam.INPUT)
    ours = np.asarray(jaxcam.explain(probe, batch, classes, method="occlusion", raw=True, **options))
    assert abs(ours - theirs).max() <= 1e-5 * abs(theirs).max()
    error = abs(jaxcam.display(ours) - jaxcam.display(theirs)).max()
    print(f"occlusion: largest difference of {len(batch)} maps {error:.1e}")
    assert error <= 1e-4
