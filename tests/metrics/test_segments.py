import jax.numpy as jnp
import numpy as np
import pytest

from jaxcam import metrics

RNG = np.random.default_rng(0)
MAPS = RNG.uniform(size=(4, 6, 10)).round(1).astype(np.float32)
MASKS = RNG.random((4, 6, 10)) < 0.3


def test_equal_the_formulas():
    mass, accuracy, over = [], [], []
    for L, S in zip(MAPS.astype(np.float64), MASKS, strict=True):
        mass.append(L[S].sum() / L.sum())
        top = np.argsort(-L.ravel(), kind="stable")[: S.sum()]
        accuracy.append(S.ravel()[top].sum() / S.sum())
        shown = MAPS[len(over)] >= np.float32(0.7)
        over.append((shown & S).sum() / (shown | S).sum())
    np.testing.assert_allclose(metrics.relevance_mass(MAPS, MASKS), mass, atol=1e-6)
    np.testing.assert_allclose(metrics.rank_accuracy(MAPS, MASKS), accuracy, atol=1e-6)
    np.testing.assert_allclose(metrics.iou(MAPS, MASKS, threshold=0.7), over, atol=1e-6)


def test_a_filled_box_has_the_energy_of_the_box():
    masks = np.zeros((4, 6, 10), bool)
    masks[:, 1:4, 2:7] = True
    energy = metrics.energy_pointing_game(MAPS, [[[2, 1, 7, 4]]] * 4)
    np.testing.assert_allclose(metrics.relevance_mass(MAPS, masks), energy, atol=1e-6)


def test_the_mask_itself_and_its_opposite():
    for metric in (metrics.relevance_mass, metrics.rank_accuracy, metrics.iou):
        np.testing.assert_allclose(metric(MASKS.astype(np.float32), MASKS), 1)
        np.testing.assert_allclose(metric((~MASKS).astype(np.float32), MASKS), 0)
    np.testing.assert_array_equal(metrics.relevance_mass(np.zeros_like(MAPS), MASKS), 0)


@pytest.mark.parametrize("size", [(60,), (3, 4, 5)])
def test_signals_and_volumes(size):
    for metric in (metrics.relevance_mass, metrics.rank_accuracy, metrics.iou):
        laid = metric(MAPS.reshape(4, *size), jnp.asarray(MASKS.reshape(4, *size)))
        np.testing.assert_allclose(laid, metric(MAPS, MASKS), rtol=1e-6)


def test_mistakes():
    empty = MASKS.copy()
    empty[2] = False
    for metric in (metrics.relevance_mass, metrics.rank_accuracy, metrics.iou):
        with pytest.raises(TypeError, match=r"boolean.* got dtype uint8"):
            metric(MAPS, MASKS.astype(np.uint8))
        with pytest.raises(ValueError, match=r"\(4, 6, 10\) and \(4, 6, 9\)"):
            metric(MAPS, MASKS[:, :, :9])
        with pytest.raises(ValueError, match="image 2 has no pixel"):
            metric(MAPS, empty)
        with pytest.raises(ValueError, match="map 1 has a NaN"):
            metric(np.where(np.arange(4)[:, None, None] == 1, np.nan, MAPS), MASKS)
    with pytest.raises(ValueError, match="at least 0"):
        metrics.relevance_mass(-MAPS, MASKS)
    for threshold in (0, 1.5):
        with pytest.raises(ValueError, match=f"threshold .* got {threshold}"):
            metrics.iou(MAPS, MASKS, threshold=threshold)
