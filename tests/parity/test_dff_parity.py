"""Deep Feature Factorization against pytorch-grad-cam: the same start gives the same concepts, maps and scores."""

import copy
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import converters
import jaxcam

pytestmark = [pytest.mark.parity, pytest.mark.realdata, pytest.mark.usefixtures("exact")]
CONCEPTS, PICTURES = 4, 6


# torch is slow at grouped convolutions in float64: benchmarks/parity.py has MobileNetV2 too
@pytest.mark.parametrize("sides", ["squeezenet1_1"], indirect=True)
def test_the_same_start_gives_the_same_factors(sides, data, x64):
    import torch
    from pytorch_grad_cam.feature_factorization.deep_feature_factorization import DeepFeatureFactorization

    # In float64: in float32 the activations differ by 1e-5, and up to 200 iterations add to it.
    _, peer, batch, _ = sides
    model = converters.load("squeezenet1_1", data / "weights" / "squeezenet1_1.pth", dtype=jnp.float64)
    peer, batch = copy.deepcopy(peer).double(), batch[:PICTURES].astype(np.float64)

    def classify(concepts):
        return peer.classifier(concepts.double()[:, :, None, None]).flatten(1)

    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    factorize = DeepFeatureFactorization(peer, peer.features, computation_on_concepts=classify)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        concepts, shown, scores = factorize(images, CONCEPTS)
    activations = factorize.activations_and_grads.activations[0].numpy().transpose(0, 2, 3, 1)

    ours = jaxcam.dff(jaxcam.probe(model, "features"), batch, start=peers_start(activations))
    found = np.asarray(ours.concepts).T
    print(f"concepts: largest difference {abs(found - concepts).max():.1e} of {abs(concepts).max():.1f}")
    assert abs(found - concepts).max() <= 1e-6 * abs(concepts).max()
    # here the peer scales maps before it enlarges them, and not once more after it
    maps = jaxcam.resize(jaxcam.normalise(ours.maps), batch.shape[1:3])
    error = abs(np.asarray(maps) - np.stack(shown)).max()
    print(f"dff: largest difference of {maps.shape[0] * maps.shape[1]} maps {error:.1e}")
    assert error <= 1e-4
    assert abs(np.asarray(ours.scores) - scores).max() <= 1e-4  # the peer rounds its concepts to float32 here


def peers_start(activations):
    """scikit-learn's draws for `NMF(init="random", random_state=0)` of the peer's matrix `(K, B·h·w)`."""
    rows = activations.reshape(-1, activations.shape[-1])
    lowest = rows.min(axis=0)
    size, draw = np.sqrt((rows - lowest).mean() / CONCEPTS), np.random.RandomState(0)
    maps = abs(size * draw.standard_normal((CONCEPTS, len(rows))))
    concepts = abs(size * draw.standard_normal((len(lowest), CONCEPTS)))
    B, h, w, _ = activations.shape
    return maps.reshape(CONCEPTS, B, h, w).swapaxes(0, 1), concepts.T + lowest
