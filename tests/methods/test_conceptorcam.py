"""Conceptor-CAM against its formulas in dense NumPy, over every base, and at its edges."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import analytic, images, small
from selection import CORE, exhaustive

import jaxcam
from jaxcam import conceptor_fuse, conceptorcam

COMBINE = ["or", "and"]
SHAPES = {"more positions": {}, "more channels": {"h": 2, "w": 4, "K": 13}}
BASES = [name for name in CORE if name not in ("cam", "conceptorcam")]


def conceptor(Z, weights, aperture):
    R = (Z * weights) @ Z.T / max(weights.sum(), 1e-300)
    return R @ np.linalg.inv(R + np.eye(len(R)) / aperture**2)


def meet(C, B):
    return B @ np.linalg.pinv(C + B - C @ B, rcond=1e-11) @ C


def share(C, Z):
    size = (Z**2).sum(axis=0)
    return np.divide(np.einsum("kp,kl,lp->p", Z, C, Z), size, out=np.zeros_like(size), where=size > 0)


def scaled(Z):
    return Z / np.sqrt(np.trace(Z @ Z.T) / Z.shape[1] / np.linalg.matrix_rank(Z))


def prepare(E, base=None):
    Z = scaled(E.reshape(-1, E.shape[-1]).T)
    b = np.maximum(E.sum(axis=-1) if base is None else base, 0).ravel()
    return Z, (b - b.min()) / (b.max() - b.min())


def formula(E, combine, aperture, base=None):
    Z, u = prepare(E, base)
    I = np.eye(len(Z))
    positive, negative = conceptor(Z, u, aperture), conceptor(Z, 1 - u, aperture)
    seen = {
        "and": share(meet(positive, I - negative), Z),
        "or": share(I - meet(I - positive, negative), Z),
    }
    return (seen[combine] * u / (u + aperture**-2)).reshape(E.shape[:2])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("aperture", exhaustive([0.3, 5.0], lambda aperture: aperture != 5.0))
def test_equals_the_formula(combine, aperture, shape, x64):
    probe, image, A, G = analytic(**SHAPES[shape])
    E = G[1].mean(axis=(0, 1)) * A
    raw = conceptorcam(probe, image, 1, combine=combine, aperture=aperture)
    np.testing.assert_allclose(raw, formula(E, combine, aperture), atol=1e-9)


@pytest.mark.parametrize("base", BASES)
def test_it_is_the_fuse_of_any_base(base, x64):
    probe, image, *_ = analytic()
    own = {"eigencam": jaxcam.principal_component, "eigengradcam": jaxcam.principal_component}
    fuse = conceptor_fuse(aperture=3.0, combine="and", fuse=own.get(base, jaxcam.channel_sum))
    expected = jaxcam.METHODS[base](probe, image, 2, fuse=fuse)
    raw = conceptorcam(probe, image, 2, base=base, aperture=3.0, combine="and")
    np.testing.assert_allclose(raw, expected, atol=1e-9)
    assert np.ptp(expected) > 1e-3


def test_a_base_is_a_name_a_function_or_one_with_options(x64):
    probe, image, *_ = analytic()
    maps = [
        conceptorcam(probe, image, 1, base=base)
        for base in ("abscam", jaxcam.abscam, functools.partial(jaxcam.abscam, phase=1))
    ]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 1e-3


def test_the_base_map_can_be_another(x64):
    probe, image, A, G = analytic()
    E = G[0] * A
    raw = conceptorcam(probe, image, 0, base="hirescam", fuse=lambda E: jnp.max(E, axis=-1), combine="and")
    np.testing.assert_allclose(raw, formula(E, "and", 3.0, E.max(axis=-1)), atol=1e-9)


def evidence(seed=0, shape=(4, 5, 30)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


FLAT = {
    "flat": evidence() - evidence().mean(axis=-1, keepdims=True),  # sums to 0 everywhere
    "negative": -np.abs(evidence()),
}


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("kind", FLAT)
def test_where_the_base_map_is_flat_the_positive_conceptor_stands_alone(kind, combine):
    E = jnp.asarray(FLAT[kind])
    E = E - jnp.sum(E, axis=-1, keepdims=True) / E.shape[-1] if kind == "flat" else E
    constant = lambda E: jnp.ones(E.shape[:2]) if kind == "flat" else jnp.sum(E, axis=-1)  # noqa: E731
    raw = conceptor_fuse(combine=combine, fuse=constant)(E)
    Z = scaled(np.asarray(E, np.float64).reshape(-1, 30).T)
    expected = share(conceptor(Z, np.ones(20), 3.0), Z).reshape(4, 5)
    np.testing.assert_allclose(raw, expected, atol=2e-6)


EDGES = {
    "zero": np.zeros((4, 5, 30), np.float32),
    "constant": np.ones((4, 5, 30), np.float32),
    "one position": evidence() * (np.arange(20).reshape(4, 5, 1) == 7).astype(np.float32),
    "one channel": evidence() * (np.arange(30) == 3).astype(np.float32),
    "alike": np.abs(evidence()[:1, :1]) * np.arange(20, dtype=np.float32).reshape(4, 5, 1),
    **FLAT,
}


@pytest.mark.parametrize("combine", COMBINE)
def test_edges_have_no_nan(combine):
    fuse = conceptor_fuse(combine=combine)

    def value(E):
        raw = fuse(E)
        return jnp.sum(raw**2), raw

    both = jax.jit(jax.grad(value, has_aux=True))
    for kind, E in EDGES.items():
        slope, raw = both(E)
        assert np.isfinite(raw).all(), kind
        assert np.isfinite(slope).all(), kind
        np.testing.assert_array_equal(np.asarray(raw)[np.all(E == 0, axis=-1)], 0, err_msg=kind)
        assert raw.min() >= 0, kind
        assert raw.max() <= 1 + 1e-6, kind


@pytest.mark.parametrize(
    ("combine", "shape"),
    exhaustive(
        itertools.product(COMBINE, [(3, 4, 20), (4, 5, 6)]),
        lambda case: case not in [("or", (3, 4, 20)), ("and", (4, 5, 6))],
    ),
)
def test_gradient_equals_finite_differences(combine, shape, x64):
    rng = np.random.default_rng(1)
    E, weight, direction = (jnp.asarray(rng.normal(size=shape)) for _ in range(3))
    value = jax.jit(lambda E: jnp.sum(weight[..., 0] * conceptor_fuse(combine=combine)(E)))
    expected = (value(E + 1e-6 * direction) - value(E - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.vdot(jax.grad(value)(E), direction), expected, rtol=1e-5)


@pytest.mark.parametrize("combine", COMBINE)
def test_scale_and_order_of_channels_do_not_matter(combine):
    E, fuse = np.abs(evidence()) + evidence(1), conceptor_fuse(combine=combine)
    raw = fuse(jnp.asarray(E))
    np.testing.assert_allclose(fuse(jnp.asarray(E[..., ::-1])), raw, atol=2e-6)
    for size in (1e-18, 1e18):
        np.testing.assert_allclose(fuse(jnp.asarray(E * np.float32(size))), raw, atol=2e-6)


def test_a_wide_aperture_lets_everything_through_and_a_narrow_one_nothing():
    E = jnp.asarray(np.abs(evidence()))
    through = np.sort(conceptor_fuse(aperture=1e4)(E), axis=None)
    assert through[1] > 0.99  # the lowest of the base map has no weight
    assert conceptor_fuse(aperture=1e-3)(E).max() < 1e-4


def test_bfloat16_evidence_is_widened():
    E = jnp.asarray(evidence(), jnp.bfloat16)
    raw = conceptor_fuse()(E)
    assert raw.dtype == jnp.float32
    np.testing.assert_allclose(raw, conceptor_fuse()(E.astype(jnp.float32)), atol=1e-6)


@pytest.mark.parametrize("combine", exhaustive(COMBINE, lambda way: way != "and"))
def test_every_way_to_combine_maps_over_images_and_classes(combine):
    probe, batch = small(), images(2)
    method = jax.jit(functools.partial(conceptorcam, combine=combine, base=jaxcam.layercam))
    targets = np.array([[0, 3], [2, 1]])
    looped = [[method(probe, x, c) for c in row] for x, row in zip(jnp.asarray(batch), targets, strict=True)]
    maps = jaxcam.explain(
        probe, batch, targets, method=conceptorcam, combine=combine, base=jaxcam.layercam, raw=True
    )
    np.testing.assert_allclose(maps, looped, atol=5e-6)


def test_equal_fuses_compare_equal():
    assert conceptor_fuse(aperture=3.0, combine="and") == conceptor_fuse(aperture=3.0, combine="and")
    assert hash(conceptor_fuse()) == hash(conceptor_fuse(aperture=3.0))
    assert conceptor_fuse() != conceptor_fuse(aperture=1.0)


def test_an_aperture_may_be_an_argument_of_the_compiled_program():
    probe, image = small(), images(1)[0]
    raw = jax.jit(lambda a: conceptorcam(probe, image, 1, aperture=a))(0.5)
    np.testing.assert_allclose(raw, conceptorcam(probe, image, 1, aperture=0.5), atol=2e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aperture": 0}, "aperture must be a finite number above 0; got 0"),
        ({"aperture": -1.0}, "got -1.0"),
        ({"aperture": float("inf")}, "got inf"),
        ({"aperture": float("nan")}, "got nan"),
        ({"combine": "nor"}, "no way to combine 'nor'; did you mean 'or'"),
        ({"base": "grad_cam"}, "no base method 'grad_cam'; did you mean 'gradcam'"),
        ({"base": lambda probe, image, target: image}, "has no option `fuse`"),
        ({"fuse": "channel_sum"}, "fuse must be a function"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        conceptorcam(small(), images(1)[0], change.pop("target", 1), **change)
