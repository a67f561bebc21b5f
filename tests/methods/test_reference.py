"""Every method against its formula, written once more in float64 NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from nets import analytic

import jaxcam

relu = lambda x: np.maximum(x, 0)  # noqa: E731


def first_component(E):
    X = E.reshape(-1, E.shape[-1])
    X = X - X.mean(axis=0)
    u, s, _ = np.linalg.svd(X, full_matrices=False)
    projection = u[:, 0] * s[0]
    return (projection * np.sign(projection @ X.sum(axis=1))).reshape(E.shape[:2])


def plus_plus(A, G):
    alpha = np.where(G != 0, G**2 / (2 * G**2 + A.sum(axis=(0, 1)) * G**3 + 1e-6), 0)
    return ((relu(G) * alpha).sum(axis=(0, 1)) * A).sum(axis=-1)


def largest_positive(M):
    return -M if abs(M.min()) > abs(M.max()) else M


def above(A, deviations=2):
    return A.mean(axis=(0, 1)) + deviations * A.std(axis=(0, 1))


def kernel_component(A, gamma=None):
    X = A.reshape(-1, A.shape[-1])
    X = X - X.mean(axis=0)
    kernel = np.tanh((gamma or 1 / X.shape[1]) * X @ X.T + 1)
    centre = np.eye(len(X)) - 1 / len(X)
    values, vectors = np.linalg.eigh(centre @ kernel @ centre)
    assert values[0] < 0  # or it would not matter that the largest is meant, and not the longest
    projection = vectors[:, -1] * np.sqrt(values[-1])
    return (projection * np.sign(projection @ X.sum(axis=1))).reshape(A.shape[:2])


FORMULAS = {
    "gradcam": lambda A, G: (G.mean(axis=(0, 1)) * A).sum(axis=-1),
    "gradcam_elementwise": lambda A, G: relu(G * A).sum(axis=-1),
    "gradcampp": plus_plus,
    "xgradcam": lambda A, G: ((G * A).sum(axis=(0, 1)) / (A.sum(axis=(0, 1)) + 1e-7) * A).sum(axis=-1),
    "layercam": lambda A, G: (relu(G) * A).sum(axis=-1),
    "hirescam": lambda A, G: (G * A).sum(axis=-1),
    "eigencam": lambda A, G: first_component(A),
    "eigengradcam": lambda A, G: first_component(G * A),
    "segeigencam": lambda A, G: largest_positive(first_component(abs(G) * A)),
    "fem": lambda A, G: ((above(A) < A).mean(axis=(0, 1)) * A).sum(axis=-1),
    "kpcacam": lambda A, G: kernel_component(A),
}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "after a ReLU"])
@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize("name", FORMULAS)
def test_equals_the_formula(name, target, signed, x64):
    probe, image, A, G = analytic(signed=signed)
    expected = FORMULAS[name](A, G[target])
    np.testing.assert_allclose(jaxcam.METHODS[name](probe, image, target), expected, atol=1e-10)


def test_every_method_with_a_gradient_has_a_formula_here():
    assert set(FORMULAS) | {"cam"} >= {
        name
        for name, method in jaxcam.METHODS.items()
        if method.__module__.rsplit(".", 1)[-1] in ("_gradcam", "_eigencam")
    }


def test_most_likely_class_is_explained_by_default(x64):
    probe, image, *_ = analytic()
    best = int(np.argmax(probe(image)[0]))
    np.testing.assert_array_equal(jaxcam.hirescam(probe, image), jaxcam.hirescam(probe, image, best))


def test_cam_is_the_classifiers_weighted_sum(x64):
    rng = np.random.default_rng(0)
    A, W = rng.normal(size=(4, 5, 6)), rng.normal(size=(6, 3))
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(a, axis=(1, 2)) @ jnp.asarray(W)))
    expected = (A * W[:, 2]).sum(axis=-1)
    np.testing.assert_allclose(
        jaxcam.cam(probe, jnp.asarray(A), 2, weights=jnp.asarray(W)), expected, atol=1e-12
    )
    contrast = jaxcam.cam(probe, jnp.asarray(A), jaxcam.difference(2, 0), weights=jnp.asarray(W))
    np.testing.assert_allclose(contrast, (A * (W[:, 2] - W[:, 0])).sum(axis=-1), atol=1e-12)


def test_fuse_turns_one_method_into_another(x64):
    probe, image, *_ = analytic()
    eigengrad = jaxcam.hirescam(probe, image, 1, fuse=jaxcam.principal_component)
    np.testing.assert_array_equal(eigengrad, jaxcam.eigengradcam(probe, image, 1))


def test_options_of_the_methods_without_a_class(x64):
    probe, image, A, _ = analytic()
    mean = np.where(above(A, 1) <= A, A.mean(axis=(0, 1)), 0).sum(axis=-1)
    np.testing.assert_allclose(jaxcam.fem(probe, image, deviations=1, weights="mean"), mean, atol=1e-12)
    np.testing.assert_allclose(jaxcam.kpcacam(probe, image, gamma=0.4), kernel_component(A, 0.4), atol=1e-10)


@pytest.mark.usefixtures("unchecked")
def test_mistakes_in_their_options():
    probe, image, *_ = analytic()
    with pytest.raises(ValueError, match="no weights 'shares'; did you mean 'share'"):
        jaxcam.fem(probe, image, weights="shares")
    for wrong in (0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="gamma must be a number above 0; got"):
            jaxcam.kpcacam(probe, image, gamma=wrong)
