"""Baselines and FullGrad against captum and pytorch-grad-cam: real weights, real pictures, float64 on both sides.

In float32 a ReLU or a maximum flips here and there, because sums are added in another order, and with it whole
gradients.
"""

import copy
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import converters
import jaxcam

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]

PICTURES = 6
STEPS = 3  # of Integrated Gradients


NAMES = {"SqueezeNet": "squeezenet1_1", "MobileNetV2": "mobilenet_v2"}


@pytest.fixture(scope="module")
def doubled(sides, data):
    """A probe of the input and of the last features, a torch model, images and classes, all in float64."""
    pytest.importorskip("captum")
    probe, peer, batch, classes = sides
    name = NAMES[type(peer).__name__]
    with jax.enable_x64(True):
        model = converters.load(name, data / "weights" / f"{name}.pth", dtype=jnp.float64)
        probe = jaxcam.probe(model, (jaxcam.INPUT, *probe.layers))
    # Where a picture is flat, maxima have ties that rounding breaks one way or the other: none is flat with some noise.
    batch = batch[:PICTURES] + 1e-3 * np.random.default_rng(0).normal(size=batch[:PICTURES].shape)
    return probe, prepared(peer), batch, classes[:PICTURES]


def prepared(peer):
    """The torch model in float64, each ReLU a module of its own that does not work in place.

    A ReLU6 is such a ReLU with a bound after it: the peers change the derivative of `torch.nn.ReLU` alone. Batch norms
    are folded in float32, as these models do it.
    """
    import torch

    peer = copy.deepcopy(peer)
    for parent in list(peer.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.ReLU):
                setattr(parent, name, torch.nn.ReLU())
            elif isinstance(child, torch.nn.ReLU6):
                bound = torch.nn.Hardtanh(-1.0, 6.0)
                setattr(parent, name, torch.nn.Sequential(torch.nn.ReLU(), bound))
            elif isinstance(child, torch.nn.BatchNorm2d):
                scale = child.weight * torch.rsqrt(child.running_var + child.eps)
                child.bias.data = child.bias - child.running_mean * scale
                child.weight.data = scale.detach()
                child.running_mean.zero_()
                child.double().running_var.fill_(1 - child.eps)
    return peer.double()


@pytest.fixture(scope="module")
def ours(doubled):
    """A function `method -> maps of all pictures`, of a method that takes a probe of the input and of the features."""
    probe, _, batch, classes = doubled

    def maps(method):
        mapped = jax.jit(lambda probe, *given: jax.lax.map(lambda pair: method(probe, *pair), given))
        with jax.enable_x64(True):
            return np.asarray(mapped(probe, batch, classes))

    return maps


def at_input(method):
    return lambda probe, *given: method(probe[jaxcam.INPUT], *given)


def guided_gradient(probe, image, target):
    return jaxcam.guided(probe).look(image, target).gradient


def tensors(doubled):
    import torch

    _, peer, batch, classes = doubled
    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    return peer, images, torch.from_numpy(classes)


def attributions(method, doubled, **options):
    """captum's, `(images, *space, channels)`."""
    peer, images, classes = tensors(doubled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = method(peer).attribute(images, target=classes, **options)
    return found.detach().numpy().transpose(0, 2, 3, 1)


def agree(name, found, expected):
    """Raw maps, which are compared by their largest value: closer than what is asked of displayed ones."""
    size = abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
    error = (abs(found - expected) / size).max()
    print(f"{name}: largest difference of {len(found)} maps {error:.1e} of the largest value")
    assert error <= 1e-6


def test_saliency(ours, doubled):
    from captum.attr import Saliency

    agree("saliency", ours(at_input(jaxcam.saliency)), attributions(Saliency, doubled).max(axis=-1))


def test_guided_backpropagation(ours, doubled):
    import torch
    from captum.attr import GuidedBackprop
    from pytorch_grad_cam import GuidedBackpropReLUModel

    found = ours(at_input(guided_gradient))
    agree("guided backpropagation", found, attributions(GuidedBackprop, doubled))
    peer, images, classes = tensors(doubled)
    guided = GuidedBackpropReLUModel(copy.deepcopy(peer), torch.device("cpu"))
    for number in (0, PICTURES - 1):
        theirs = guided(images[number : number + 1].clone(), int(classes[number]))
        agree("pytorch-grad-cam's", found[number][None], theirs[None])


def test_fullgrad(ours, doubled):
    from pytorch_grad_cam import FullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    peer, images, classes = tensors(doubled)
    with warnings.catch_warnings(), FullGrad(peer, []) as method:
        warnings.simplefilter("ignore")
        theirs = method(images.clone(), [ClassifierOutputTarget(int(c)) for c in classes])
    error = abs(np.asarray(jaxcam.display(ours(at_input(jaxcam.fullgrad)))) - theirs).max()
    print(f"FullGrad: largest difference of {len(theirs)} displayed maps {error:.1e}")
    assert error <= 1e-4


# The rest is the same program with other arguments, or a product of the above: one network is enough.
squeezenet = pytest.mark.parametrize("sides", ["squeezenet1_1"], indirect=True)


@squeezenet
def test_integrated_gradients(ours, doubled):
    from captum.attr import IntegratedGradients

    theirs = attributions(IntegratedGradients, doubled, n_steps=STEPS, internal_batch_size=PICTURES)
    found = ours(at_input(jaxcam.integrated(jaxcam.hirescam, steps=STEPS)))
    agree("integrated gradients", found, theirs.sum(axis=-1))


@squeezenet
def test_gradcam_and_guided_gradcam(ours, doubled):
    from captum.attr import GuidedGradCam, LayerGradCam

    layer = doubled[1].features
    coarse = attributions(functools.partial(LayerGradCam, layer=layer), doubled)[..., 0]
    agree("layer Grad-CAM", ours(lambda probe, *given: jaxcam.gradcam(probe["features"], *given)), coarse)
    fine = attributions(functools.partial(GuidedGradCam, layer=layer), doubled, interpolate_mode="bilinear")
    agree("guided Grad-CAM", ours(jaxcam.guided_gradcam), fine.sum(axis=-1))
