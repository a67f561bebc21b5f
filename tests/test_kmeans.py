import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcam
from jaxcam import kmeans

KEY = jax.random.key(0)


def blobs(clusters=5, each=12, dimensions=4, *, spread=0.05, seed=0, dtype=np.float64):
    """Points around far-apart centres, shuffled, and the blob of each."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(clusters, dimensions)) * 5
    labels = rng.permutation(np.repeat(np.arange(clusters), each))
    points = centers[labels] + spread * rng.normal(size=(labels.size, dimensions))
    return points.astype(dtype), labels


def same_partition(ours, theirs):
    pairs = set(zip(np.asarray(ours).tolist(), np.asarray(theirs).tolist(), strict=True))
    return len(pairs) == len(set(np.asarray(ours).tolist())) == len(set(np.asarray(theirs).tolist()))


def reference(points, clusters, restarts):
    """Inertia of scikit-learn's k-means, on one thread."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return KMeans(clusters, n_init=restarts, random_state=0).fit(points).inertia_


def activations(size, layer):
    """Rows of a layer's channels for noise through a network with random weights: dead ones, and all scales."""
    from jaxcam import models

    image = jax.random.normal(jax.random.key(1), (size, size, 3))
    _, activation = jax.jit(lambda p, x: p(x))(jaxcam.probe(models.build("squeezenet1_1"), layer), image)
    return np.asarray(activation).reshape(-1, activation.shape[-1]).T


def test_finds_separated_blobs(x64):
    points, truth = blobs()
    found = kmeans(points, 5, key=KEY)
    assert same_partition(found.labels, truth)
    for cluster in range(5):
        members = points[np.asarray(found.labels) == cluster]
        np.testing.assert_allclose(found.centers[cluster], members.mean(axis=0), atol=1e-12)
    apart = points - np.asarray(found.centers)[np.asarray(found.labels)]
    np.testing.assert_allclose(found.inertia, (apart**2).sum(), rtol=1e-12)


def test_inertia_of_digits_is_scikit_learns():
    from sklearn.datasets import load_digits

    digits = load_digits().data.astype(np.float32)
    assert float(kmeans(digits, 10, key=KEY).inertia) <= 1.01 * reference(digits, 10, 10)


@pytest.mark.parametrize("layer", ["features", "features.7"])
def test_inertia_of_activations_is_scikit_learns(layer):
    rows = activations(128, layer)
    assert float(kmeans(rows, 16, key=KEY).inertia) <= 1.01 * reference(rows, 16, 10)


@pytest.mark.parametrize("seed", range(3))
def test_inertia_never_rises(seed, x64):
    points = np.random.default_rng(seed).normal(size=(60, 3))
    run = functools.partial(kmeans, points, 7, key=jax.random.key(seed), restarts=1)
    curve = np.array([float(run(iterations=steps).inertia) for steps in range(12)])
    assert (np.diff(curve) <= 1e-12).all()
    assert curve[-1] < curve[0]


def test_stops_at_a_fixed_point(x64):
    points = np.random.default_rng(0).normal(size=(60, 3))
    one, other = (kmeans(points, 7, key=KEY, iterations=steps) for steps in (100, 10_000))
    np.testing.assert_array_equal(one.labels, other.labels)
    distances = ((points[:, None] - np.asarray(one.centers)[None]) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(one.labels, distances.argmin(axis=1))


def test_more_restarts_are_no_worse_and_the_key_decides(x64):
    points = np.random.default_rng(1).normal(size=(80, 2))
    np.testing.assert_array_equal(kmeans(points, 9, key=KEY).centers, kmeans(points, 9, key=KEY).centers)
    singles = [float(kmeans(points, 9, key=jax.random.key(k), restarts=1).inertia) for k in range(8)]
    assert len(set(singles)) > 1
    assert float(kmeans(points, 9, key=KEY, restarts=30).inertia) <= min(singles) + 1e-9


def test_as_many_clusters_as_points(x64):
    points = np.random.default_rng(0).normal(size=(9, 3))
    found = kmeans(points, 9, key=KEY, restarts=1)
    assert sorted(np.asarray(found.labels)) == list(range(9))
    np.testing.assert_allclose(found.inertia, 0, atol=1e-24)


def test_an_empty_cluster_moves_to_the_farthest_point(x64):
    from jaxcam._kmeans import _lloyd

    points = jnp.asarray([[0.0], [0.1], [1.0], [9.0]])
    seeds = jnp.asarray([[[0.05], [500.0], [700.0]]])
    _, labels, inertia = _lloyd(points, jnp.ones(4), seeds, 1)
    assert labels[0, 3] in (1, 2)
    assert labels[0, 3] != labels[0, 2]  # two empty clusters take two different points
    _, labels, inertia = _lloyd(points, jnp.ones(4), seeds, 10)
    np.testing.assert_allclose(inertia, [0.005], atol=1e-12)


def test_fewer_distinct_points_than_clusters(x64):
    points = np.repeat(np.random.default_rng(0).normal(size=(3, 5)), 4, axis=0)
    found = kmeans(points, 6, key=KEY)
    assert same_partition(found.labels, np.repeat(np.arange(3), 4))
    assert np.isfinite(found.centers).all()
    np.testing.assert_allclose(found.inertia, 0, atol=1e-20)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_identical_points(value):
    found = kmeans(jnp.full((6, 4), value), 3, key=KEY)
    np.testing.assert_allclose(found.centers, value, rtol=1e-6)
    assert float(found.inertia) == 0


def test_weights(x64):
    points, _ = blobs(4, 6)
    weights = np.random.default_rng(0).integers(1, 4, len(points)).astype(float)
    weighted = kmeans(points, 4, key=KEY, weights=weights)
    repeated = kmeans(np.repeat(points, weights.astype(int), axis=0), 4, key=KEY)
    np.testing.assert_allclose(weighted.inertia, repeated.inertia, rtol=1e-10)
    np.testing.assert_allclose(
        sorted(map(tuple, weighted.centers.tolist())),
        sorted(map(tuple, repeated.centers.tolist())),
        atol=1e-12,
    )


def test_a_point_of_weight_zero_moves_nothing(x64):
    points, _ = blobs(4, 6)
    strange = np.concatenate([points, np.full((3, points.shape[1]), 1e6)])
    weights = np.concatenate([np.ones(len(points)), np.zeros(3)])
    found = kmeans(strange, 4, key=KEY, weights=weights)
    np.testing.assert_allclose(found.inertia, kmeans(points, 4, key=KEY).inertia, rtol=1e-9)
    nothing = kmeans(points, 4, key=KEY, weights=np.zeros(len(points)))
    assert float(nothing.inertia) == 0
    assert np.isfinite(nothing.centers).all()


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e4), (1e-18, 0.0), (1e18, 0.0)])
def test_float32_is_enough_far_from_the_origin_and_at_any_scale(scale, shift):
    points, truth = blobs(dtype=np.float32)
    moved = (scale * points + np.float32(shift)).astype(np.float32)
    found = kmeans(moved, 5, key=KEY)
    assert same_partition(found.labels, truth)
    assert np.isfinite(found.centers).all()


def test_vmap_equals_loop_and_jit_equals_eager():
    batch = np.stack([blobs(4, 8, seed=seed, dtype=np.float32)[0] for seed in range(3)])
    keys = jax.random.split(KEY, 3)
    run = functools.partial(kmeans, clusters=4, restarts=3)
    mapped = jax.vmap(lambda points, key: run(points, key=key))(batch, keys)
    for number, (points, key) in enumerate(zip(batch, keys, strict=True)):
        alone = run(points, key=key)
        np.testing.assert_array_equal(mapped.labels[number], alone.labels)
        np.testing.assert_allclose(mapped.centers[number], alone.centers, atol=1e-5)
        jitted = jax.jit(lambda points, key: run(points, key=key))(points, key)
        np.testing.assert_array_equal(jitted.labels, alone.labels)


def test_derivative_holds_the_labels_fixed(x64):
    points, truth = blobs(3, 5)
    slope = jax.grad(lambda p: kmeans(p, 3, key=KEY).inertia)(jnp.asarray(points))
    means = np.stack([points[truth == c].mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(slope, 2 * (points - means[truth]), atol=1e-10)


@pytest.mark.parametrize("truth", [4, 6])
def test_elbow_finds_the_number_of_blobs(truth):
    corners = np.repeat(np.eye(truth, 6), 15, axis=0)  # all equally far apart, so each cluster helps as much
    points = (corners + 0.02 * np.random.default_rng(0).normal(size=corners.shape)).astype(np.float32)
    assert int(jaxcam.elbow(points, key=KEY, lowest=2, highest=12)) == truth
    assert int(jax.jit(lambda p: jaxcam.elbow(p, key=KEY, lowest=2, highest=12))(points)) == truth


def test_elbow_tries_three_to_the_root_of_the_points():
    assert int(jaxcam.elbow(np.ones((50, 2), np.float32), key=KEY)) == 3
    rising = np.concatenate([np.zeros((5, 1)), np.arange(1, 46)[:, None] * 1e-3 + 9]).astype(np.float32)
    assert 3 <= int(jaxcam.elbow(rising, key=KEY)) <= 8


@pytest.mark.parametrize("options", [{"lowest": 0}, {"lowest": 5, "highest": 4}, {"highest": 60}])
def test_elbow_names_a_bad_range(options):
    with pytest.raises(ValueError, match="lowest <= highest <= 50, the number of points; got"):
        jaxcam.elbow(np.ones((50, 2), np.float32), key=KEY, **options)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowers_for(platform):
    program = jax.jit(jax.vmap(lambda points: kmeans(points, 4, key=KEY)))
    exported = jax.export.export(program, platforms=[platform])(jax.ShapeDtypeStruct((2, 20, 6), jnp.float32))
    assert exported.out_avals[0].shape == (2, 4, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters must be a whole number from 1 to 6, the number of points; got 0"),
        ({"clusters": 7}, "got 7"),
        ({"clusters": 2.0}, "got 2.0"),
        ({"clusters": True}, "got True"),
        ({"restarts": 0}, "restarts must be a whole number of at least 1; got 0"),
        ({"iterations": -1}, "iterations must be a whole number of at least 0; got -1"),
        ({"weights": np.ones(5, np.float32)}, r"weights must be one per point, \(6,\); got shape \(5,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(options, message):
    options = {"clusters": 2, "key": KEY} | options
    with pytest.raises(ValueError, match=message):
        kmeans(np.ones((6, 2), np.float32), options.pop("clusters"), **options)


POINTS = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
REFUSED = {
    "nan": (
        {"points": np.where(POINTS > 1, np.nan, POINTS)},
        ValueError,
        "points has a NaN or infinite value",
    ),
    "infinity": ({"points": np.full((6, 2), np.inf)}, ValueError, "points has a NaN or infinite value"),
    "list": ({"points": POINTS.tolist()}, TypeError, r"points is an array \(n, d\); got list"),
    "vector": ({"points": POINTS[:, 0]}, ValueError, r"points is an array \(n, d\); got shape \(6,\)"),
    "integers": (
        {"points": np.arange(12).reshape(6, 2)},
        TypeError,
        "must be of floating point; got dtype int",
    ),
    "negative": (
        {"weights": -np.ones(6)},
        ValueError,
        "weights must be finite and at least 0; weight 0 is -1",
    ),
    "nan weight": ({"weights": np.full(6, np.nan)}, ValueError, "weight 0 is nan"),
    "too few": ({"weights": np.ones(5)}, ValueError, r"one per point, \(6,\); got shape \(5,\)"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", REFUSED)
def test_points_and_weights_that_are_none(case):
    change, error, message = REFUSED[case]
    arguments = {"points": POINTS, "key": jax.random.key(0)} | change
    with pytest.raises(error, match=message):
        kmeans(clusters=2, **arguments)
    if "points" in change:
        with pytest.raises(error, match=message):
            jaxcam.elbow(arguments["points"], key=jax.random.key(0))
