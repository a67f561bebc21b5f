"""Methods of gradients and heads, their targets and transforms, against pytorch-grad-cam, TorchCAM and captum: real
weights, real pictures, both sides at the same layers and targets."""

import copy
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import converters
import jaxcam

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]
# Of the twelve, six where no gradient of MobileNetV2 flips at a kink of ReLU6 in float32, as at 3, 4 and 8.
PICTURES = [0, 1, 2, 5, 6, 7]
# Layers with the same names on both sides, after a ReLU: of other layers Grad-CAM++ divides by numbers near 0.
SEVERAL = {
    "squeezenet1_1": ("features.7", "features.9", "features.12"),
    "mobilenet_v2": ("features.7.conv.0", "features.14.conv.0", "features.18"),
}


def nearest_by_probability(logits):
    """pytorch-grad-cam's Finer-CAM of the most likely class."""
    likely, others = jnp.split(jax.lax.top_k(logits, 4)[0], [1])
    weights = jnp.exp(others - jax.nn.logsumexp(logits))
    return jnp.sum(weights * (likely - others)) / (jnp.sum(weights) + 1e-9)


AT_ONE_LAYER = {
    "FEM": lambda *given: jaxcam.fem(*given[:3]),
    "KPCA_CAM": lambda *given: jaxcam.kpcacam(*given[:3]),
    "SegEigenCAM": lambda *given: jaxcam.segeigencam(*given[:3]),
    "ShapleyCAM": lambda *given: jaxcam.shapleycam(*given[:3]),
    "ShapleyCAM of the rest": lambda p, x, c, _: jaxcam.shapleycam(p, x, jaxcam.rest(c)),
    "LayerDeepLift": lambda p, x, c, dark: jaxcam.liftcam(p, x, c, baseline=dark),
    "FinerCAM": lambda p, x, *_: jaxcam.gradcam(p, x, nearest_by_probability),
    "TorchCAM's FinerCAM": lambda p, x, c, _: jaxcam.gradcam(p, x, jaxcam.finer(c)),
    "eigen_smooth": lambda p, x, c, _: jaxcam.gradcam(p, x, c, fuse=jaxcam.principal_component),
}
OVER_LAYERS = {
    "mean": jaxcam.over_layers(jaxcam.gradcam),
    "TorchCAM's max": jaxcam.over_layers(jaxcam.gradcam, "max"),
    "RefineCAM": jaxcam.refinecam,
}


@pytest.fixture(scope="module")
def six(sides):
    """Raw maps of six pictures by one compiled program, the probe's and torch's models, pictures and classes."""
    import torch

    probe, peer, batch, classes = sides
    batch, classes = batch[PICTURES], classes[PICTURES]
    dark = jnp.zeros_like(batch[0])

    @jax.jit
    def maps(probe, batch, classes):
        baseline = probe(dark)[1]
        return {
            name: jax.vmap(method, (None, 0, 0, None))(probe, batch, classes, baseline)
            for name, method in AT_ONE_LAYER.items()
        }

    peer = copy.deepcopy(peer)
    for module in peer.modules():  # the peers' hooks keep what is then overwritten
        if hasattr(module, "inplace"):
            module.inplace = False
    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield maps(probe, batch, classes), peer, batch, classes, images


def close(ours, theirs, *, either=None):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    error = abs(ours - theirs).max(axis=(1, 2))
    if either is not None:
        error = np.minimum(error, abs(np.asarray(either) - theirs).max(axis=(1, 2)))
    assert theirs.max() > 0.5
    print(f"largest difference of {len(ours)} maps {error.max():.1e}")
    assert error.max() <= 1e-4


def of_classes(classes):
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    return [ClassifierOutputTarget(int(each)) for each in classes]


@pytest.mark.parametrize(
    "name",
    ["FEM", "KPCA_CAM", "SegEigenCAM", "ShapleyCAM", "ShapleyCAM of the rest", "eigen_smooth"],
)
@pytest.mark.filterwarnings("ignore")
def test_pytorch_grad_cam_agrees(six, name):
    from pytorch_grad_cam import FEM, GradCAM, ShapleyCAM
    from pytorch_grad_cam.kpca_cam import KPCA_CAM
    from pytorch_grad_cam.seg_eigen_cam import SegEigenCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST

    maps, peer, batch, classes, images = six
    method = {each.__name__: each for each in (FEM, KPCA_CAM, SegEigenCAM, ShapleyCAM)}
    targets = of_classes(classes)
    if name.endswith("rest"):
        targets = [ClassifierOutputReST(int(each)) for each in classes]
    with method.get(name.split()[0], GradCAM)(peer, [peer.features]) as cam:
        theirs = cam(images, targets, eigen_smooth=name == "eigen_smooth")
    ours, turned = (jaxcam.display(sign * maps[name], size=batch.shape[1:3]) for sign in (1, -1))
    by_sign_of_lapack = name in ("KPCA_CAM", "eigen_smooth")
    close(ours, theirs, either=turned if by_sign_of_lapack else None)


@pytest.mark.filterwarnings("ignore")
def test_pytorch_grad_cams_finercam_agrees(six):
    from pytorch_grad_cam import FinerCAM

    maps, peer, batch, _, images = six
    with FinerCAM(peer, [peer.features]) as cam:
        theirs = cam(images)
    close(jaxcam.display(maps["FinerCAM"], size=batch.shape[1:3]), theirs)


def test_torchcams_finercam_agrees(six):
    from torchcam.methods import FinerCAM

    maps, peer, _, classes, images = six
    with FinerCAM(peer, "features") as cam:
        (theirs,) = cam([int(each) for each in classes], peer(images))
    close(jaxcam.display(maps["TorchCAM's FinerCAM"]), theirs)


@pytest.mark.filterwarnings("ignore")
def test_captums_deeplift_agrees(six):
    import torch
    from captum.attr import LayerDeepLift

    maps, peer, batch, classes, images = six
    lifted = LayerDeepLift(peer, peer.features).attribute(
        images, torch.zeros_like(images), target=torch.from_numpy(classes)
    )
    with torch.no_grad():
        theirs = np.asarray((lifted.sum((2, 3), keepdim=True) * peer.features(images)).sum(1))
    np.testing.assert_allclose(maps["LayerDeepLift"], theirs, rtol=1e-3, atol=1e-4 * abs(theirs).max())
    size = batch.shape[1:3]
    close(jaxcam.display(maps["LayerDeepLift"], size=size), jaxcam.display(theirs, size=size))


@pytest.mark.filterwarnings("ignore")
def test_pytorch_grad_cams_augmentation_agrees(sides, six):
    """Of one picture, because it is six passes of each network; six pictures agreed as well."""
    from pytorch_grad_cam import GradCAM

    _, peer, _, classes, images = six
    with GradCAM(peer, [peer.features]) as cam:
        theirs = cam(images[:1], of_classes(classes[:1]), aug_smooth=True)
    method = jaxcam.augmented(jaxcam.over_layers(jaxcam.gradcam))  # maps of the picture's size
    close(jax.jit(method)(sides[0], sides[2][0], classes[0])[None], theirs)


@pytest.mark.filterwarnings("ignore")
def test_maps_over_layers_agree(six, data):
    import pytorch_grad_cam
    from torchcam.methods import GradCAM

    _, peer, batch, classes, images = six
    name = "mobilenet_v2" if hasattr(peer, "last_channel") else "squeezenet1_1"
    probe = jaxcam.probe(converters.load(name, data / "weights" / f"{name}.pth"), SEVERAL[name])

    @jax.jit
    def maps(probe, batch, classes):
        each = {each: jax.vmap(method, (None, 0, 0)) for each, method in OVER_LAYERS.items()}
        return {name: jaxcam.display(method(probe, batch, classes)) for name, method in each.items()}

    ours = maps(probe, batch, classes)
    layers = [peer.get_submodule(each) for each in SEVERAL[name]]
    with pytorch_grad_cam.GradCAM(peer, layers) as cam:
        close(ours["mean"], cam(images, of_classes(classes)))
    close(ours["RefineCAM"], pytorch_grad_cam.RefineCAM(peer, layers)(images, of_classes(classes)))
    with GradCAM(peer, layers) as cam:
        each = cam([int(c) for c in classes], peer(images))
        theirs = GradCAM.fuse_cams(each, batch.shape[1:3])
    close(ours["TorchCAM's max"], jaxcam.display(theirs.numpy()))
