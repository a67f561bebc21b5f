"""Models of other libraries, as they are in the registry, with random weights (the extra `libraries`)."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

os.environ["KERAS_BACKEND"] = "jax"  # read when keras is imported
WHY = "see the extra `libraries` in pyproject.toml"


@pytest.fixture(scope="module", autouse=True)
def as_others_run_jax():
    """The other libraries mix ranks and dtypes, which the strict promotion of our tests refuses."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="session")
def keras():
    module = pytest.importorskip("keras", reason=f"keras is not installed: {WHY}")
    module.utils.set_random_seed(0)
    return module


@pytest.fixture(scope="session")
def hub(keras):
    return pytest.importorskip("keras_hub", reason=f"keras-hub is not installed: {WHY}").models


@pytest.fixture(scope="session")
def images():
    return np.asarray(jax.random.normal(jax.random.key(0), (2, 32, 32, 3)))


@pytest.fixture(scope="session")
def near():
    """Asserts that two arrays are equal but for the order in which their sums are computed."""

    def check(found, expected):
        np.testing.assert_allclose(jnp.asarray(found), jnp.asarray(expected), rtol=2e-4, atol=2e-5)

    return check
