"""What can be said of accelerators without one: arithmetic, waiting, and lowering."""

import importlib

import jax
import jax.numpy as jnp
import nets
import pytest
from selection import CORE, exhaustive

import jaxcam
from jaxcam import METHODS, _checks, models
from jaxcam.probes._flops import _inner

HIGHEST = jax.lax.Precision.HIGHEST


def without_products():
    """A probe of a model that has no matrix product, so that all that are found are the method's own."""

    def features(x):
        return jax.nn.relu(jnp.tile(x[:, ::3, ::3], (1, 1, 1, 4)))

    return jaxcam.probe(split=(features, lambda a: jnp.mean(a, axis=(1, 2))[:, :5]))


def products(jaxpr):
    """Precisions of all products in a program."""
    for step in jaxpr.eqns:
        if step.primitive.name in ("dot_general", "conv_general_dilated"):
            precision = step.params["precision"]
            yield from precision if isinstance(precision, tuple) else (precision,)
        for inside in _inner(step.params.values()):
            yield from products(inside)


SOME = ("cam", "hirescam", "eigencam", "clustercam", "conceptorcam")


@pytest.mark.parametrize("method", exhaustive(CORE, lambda method: method not in SOME))
def test_products_of_methods_are_not_rounded_by_accelerators(method):
    probe, image = without_products(), nets.images(1)[0]
    options = {"weights": jnp.ones((12, 5))} if method == "cam" else {}

    def total(image):
        return jnp.sum(METHODS[method](probe, image, jaxcam.similarity(jnp.arange(5.0)), **options))

    found = set(products(jax.make_jaxpr(jax.value_and_grad(total))(image).jaxpr))
    assert found <= {HIGHEST}


@pytest.mark.parametrize("size", [(3, 4), (12, 14)], ids=["fewer places than channels", "more"])
def test_products_of_principal_components(size):
    evidence = jnp.ones((*size, 20))
    found = set(products(jax.make_jaxpr(jaxcam.principal_component)(evidence).jaxpr))
    assert found == {HIGHEST}


def test_values_on_the_device_are_read_once_it_has_work(monkeypatch):
    started = []

    home = importlib.import_module("jaxcam._explain")
    inner = home._explain

    def explain(*arguments, **options):
        started.append(True)
        return inner(*arguments, **options)

    def refuse(finite):
        assert started
        started.append("read")

    monkeypatch.setattr(home, "_explain", explain)
    monkeypatch.setattr(_checks, "_refuse", refuse)
    jaxcam.explain(nets.small(), jnp.asarray(nets.images(2)), jnp.array([1, 2]))
    assert started == [True, "read"]


def test_wrong_values_on_the_device_still_raise():
    images = jnp.asarray(nets.images(3)).at[1, 2, 3].set(jnp.nan)
    with pytest.raises(ValueError, match=r"image 1 has a NaN or infinite pixel \(1 of 3 images do\)"):
        jaxcam.explain(nets.small(), images, 1)
    with pytest.raises(ValueError, match="no class 7: the model has 5 classes"):
        jaxcam.explain(nets.small(), jnp.asarray(nets.images(2)), jnp.array([1, 7]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("method", CORE)
def test_lowering_of_a_large_batch_in_bfloat16(method, platform):
    model = models.build("cifar_resnet20", dtype=jnp.bfloat16)
    probe = jaxcam.probe(model, models.default_layer("cifar_resnet20"))
    run = jax.jit(lambda probe, images, targets: jaxcam.explain(probe, images, targets, method=method))
    images = jax.ShapeDtypeStruct((128, 32, 32, 3), jnp.bfloat16)
    targets = jax.ShapeDtypeStruct((128,), jnp.int32)
    lowered = run.trace(probe, images, targets).lower(lowering_platforms=(platform,))
    assert "bf16" in lowered.as_text()
