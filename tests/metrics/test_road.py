import warnings

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from metric_cases import case

import jaxcam
from jaxcam import metrics
from jaxcam.metrics._road import quantiles

KEY = jax.random.key(0)


def masks(size):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    smooth = np.asarray(metrics.random_maps(1, size, key=KEY))[0]
    yield from (smooth < np.percentile(smooth, q) for q in (10, 50, 90))
    yield from (rng.random(size) < share for share in (0.02, 0.3, 0.9))
    yield from ((rows + columns) % 2 == 0, rows % 5 == 2, (rows == 0) & (columns == 0))


@pytest.mark.parametrize("size", [(33, 47), (12, 5), (1, 3)])
def test_imputation_equals_the_sparse_direct_solve(size):
    """To 1e-4 of a picture of unit deviation: a hundredth of the noise that follows."""
    image = np.random.default_rng(1).normal(size=(*size, 3)).astype(np.float32)
    impute = jax.jit(metrics.impute)
    for known in masks(size):
        if known.all() or not known.any():
            continue
        filled = impute(image, known)
        assert filled.dtype == np.float32
        np.testing.assert_allclose(filled, oracle.imputed(image, known), atol=1e-4)
        np.testing.assert_array_equal(filled[known], image[known])


def test_more_iterations_solve_it_exactly(x64):
    image = np.random.default_rng(1).normal(size=(30, 41, 2))
    impute = jax.jit(metrics.impute, static_argnames="iterations")
    for known in masks((30, 41)):
        filled = impute(image, known, iterations=40)
        np.testing.assert_allclose(filled, oracle.imputed(image, known), atol=1e-10)


@pytest.mark.realdata
def test_imputation_of_a_real_picture(data, x64):
    from PIL import Image

    from jaxcam import models

    with Image.open(sorted((data / "images").iterdir())[5]) as picture:
        image = models.preprocess("squeezenet1_1")(picture)
    shown = np.asarray(metrics.random_maps(1, (224, 224), key=KEY))[0]
    known = shown < np.percentile(shown, 70)
    np.testing.assert_allclose(jax.jit(metrics.impute)(image, known), oracle.imputed(image, known), atol=1e-4)


def test_a_constant_picture_stays_and_extremes_bound_the_rest():
    known = next(masks((20, 20)))
    impute = jax.jit(metrics.impute)
    np.testing.assert_allclose(impute(np.full((20, 20, 3), 2.5, np.float32), known), 2.5, atol=1e-4)
    image = np.random.default_rng(0).normal(size=(20, 20, 3)).astype(np.float32)
    filled = np.asarray(impute(image, known))
    assert (filled >= image[known].min(axis=0) - 1e-4).all()
    assert (filled <= image[known].max(axis=0) + 1e-4).all()


def test_all_known_and_none_known():
    image = np.random.default_rng(0).normal(size=(9, 7, 3)).astype(np.float32)
    impute = jax.jit(metrics.impute)
    np.testing.assert_array_equal(impute(image, np.ones((9, 7), bool)), image)
    np.testing.assert_array_equal(impute(image, np.zeros((9, 7), bool)), 0)


def test_thresholds_are_numpys_percentiles(x64):
    values = np.random.default_rng(0).uniform(size=(13, 11)).round(1)
    for q in (3, 10, 50, 77.7, 90):
        for shown in (values, 1 - values):
            threshold = quantiles(jnp.asarray(shown), (q,))[0]
            np.testing.assert_array_equal(shown < threshold, shown < np.percentile(shown, q))


def test_equals_a_loop_without_noise(x64):
    probe, images, targets, maps = case(np.float64)
    percentiles = (20, 50, 85)
    expected = np.zeros((2, 3, 3))
    for i, (x, c, L) in enumerate(zip(images, targets, maps, strict=True)):
        for j, q in enumerate(percentiles):
            for k, shown in enumerate((L, 1 - L)):
                known = shown < np.percentile(shown, q)
                seen = oracle.imputed(x, known) if known.any() else np.zeros_like(x)
                expected[k, i, j] = oracle.probability(probe, seen, c)
    options = {"key": KEY, "percentiles": percentiles, "noise": 0, "iterations": 40}
    morf, lerf = metrics.road_curves(probe, images, targets, maps, **options)
    np.testing.assert_allclose(morf, expected[0], atol=1e-8)
    np.testing.assert_allclose(lerf, expected[1], atol=1e-8)
    combined = metrics.road(probe, images, targets, maps, **options)
    np.testing.assert_allclose(combined, (expected[1] - expected[0]).mean(axis=1) / 2, atol=1e-8)


def test_the_noise_is_normal_of_its_deviation_and_only_on_removed_pixels():
    """The model's second logit measures the mean square of the removed half, which is 0 but for the noise."""
    shown = np.zeros((1, 40, 40), np.float32)
    shown[:, :20] = np.linspace(0.5, 1, 800).reshape(20, 40)
    shown[:, 20:] = np.linspace(0, 0.4, 800).reshape(20, 40)

    def head(a):
        squares = a[0] ** 2
        return jnp.stack([jnp.mean(squares[:20]), jnp.mean(squares[20:])])[None]

    probe = jaxcam.probe(split=(lambda x: x, head))
    images = np.zeros((1, 40, 40, 3), np.float32)
    options = {"key": KEY, "percentiles": (50,), "noise": 0.8}
    morf, lerf = metrics.road_curves(probe, images, 0, shown, **options)
    expected = 1 / (1 + np.exp(-0.64))  # one half 0.8 squared, the other 0
    np.testing.assert_allclose(morf, expected, atol=0.02)
    np.testing.assert_allclose(lerf, 1 - expected, atol=0.02)
    same = metrics.road_curves(probe, images, 0, shown, **options)
    np.testing.assert_array_equal(same[0], morf)
    other = metrics.road_curves(probe, images, 0, shown, **options | {"key": jax.random.key(1)})
    assert (other[0] != morf).all()


def test_constant_maps_score_zero():
    probe, images, targets, _ = case()
    for value in (0, 1):
        maps = np.full((3, 12, 14), value, np.float32)
        np.testing.assert_array_equal(metrics.road(probe, images, targets, maps, key=KEY), 0)


def test_the_opposite_map_has_the_opposite_score():
    probe, images, targets, maps = case()
    maps = np.round(maps * 64) / 64  # so that 1 - (1 - L) is L
    there = metrics.road(probe, images, targets, maps, key=KEY)
    back = metrics.road(probe, images, targets, 1 - maps, key=KEY)
    np.testing.assert_allclose(there, -back, atol=1e-6)
    assert np.abs(there).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentiles": ()}, "at least one percentile"),
        ({"percentiles": (10, 100)}, "between 0 and 100; got 100"),
        ({"percentiles": (0,)}, "got 0"),
        ({"noise": -0.1}, "got -0.1"),
        ({"iterations": 0}, "iterations .* got 0"),
    ],
)
def test_bad_options(options, message):
    probe, images, targets, maps = case()
    with pytest.raises(ValueError, match=message):
        metrics.road(probe, images, targets, maps, **{"key": KEY} | options)


@pytest.mark.parity
@pytest.mark.realdata
def test_road_equals_pytorch_grad_cams_within_its_noise(data, exact):
    """Two small pictures, a real network; the peer's noise differs with every call, ours with the key."""
    torch = pytest.importorskip("torch")
    from _torchvision import load as load_torchvision
    from PIL import Image

    import converters
    from jaxcam import models

    torchvision = load_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pytorch_grad_cam")
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
    path = data / "weights" / "squeezenet1_1.pth"
    peer = torchvision.models.squeezenet1_1(weights=None).eval()
    peer.load_state_dict(torch.load(path, weights_only=True))
    probe = jaxcam.probe(converters.load("squeezenet1_1", path), "features")

    files = sorted((data / "images").iterdir())[10:40:20]
    whole = [Image.open(file).convert("RGB").resize((64, 64)) for file in files]
    prepare = models.preprocess("squeezenet1_1")
    mean, std = (np.asarray(each, np.float32) for each in (prepare.mean, prepare.std))
    images = (np.stack([np.asarray(each, np.float32) for each in whole]) / 255 - mean) / std
    targets = np.array([int(np.argmax(probe(x)[0])) for x in images])
    maps = np.asarray(jaxcam.explain(probe, images, targets, method="layercam"))
    percentiles = [20, 50, 80]

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ROADCombined(percentiles)(
            torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            maps,
            [ClassifierOutputSoftmaxTarget(int(c)) for c in targets],
            peer,
        )
    ours = np.stack(
        [
            metrics.road(probe, images, targets, maps, key=jax.random.key(seed), percentiles=percentiles)
            for seed in range(8)
        ]
    )
    spread = ours.std(axis=0, ddof=1)
    print(f"theirs {theirs}, ours {ours.mean(axis=0)}, spread {spread}")
    assert (spread < 0.01).all()
    assert (np.abs(theirs - ours.mean(axis=0)) < 5 * spread + 1e-4).all()


def test_a_key_for_each_image_makes_noise_that_does_not_depend_on_the_batch():
    probe, images, targets, maps = case()
    keys = jax.random.split(KEY, 3)
    given = {"percentiles": (30, 60), "noise": 0.8}
    whole = metrics.road(probe, images, targets, maps, key=keys, **given)
    for i in range(3):
        part = slice(i, i + 1)
        alone = metrics.road(probe, images[part], targets[part], maps[part], key=keys[part], **given)
        np.testing.assert_allclose(alone, whole[part], atol=1e-6)
    legacy = jax.vmap(jax.random.key_data)(keys)
    np.testing.assert_allclose(
        metrics.road(probe, images, targets, maps, key=legacy, **given), whole, atol=1e-6
    )
