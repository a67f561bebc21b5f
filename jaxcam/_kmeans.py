"""k-means: greedy k-means++ seeds, Lloyd's iterations, the best of several restarts."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._checks import check_table, check_weights
from .devices._mesh import vary_as

FULL, EARLY = (
    4,
    5,
)  # restarts that all run to the end, and after how many iterations more than those are judged
Points = Float[Array | np.ndarray, "n d"]


class Clusters(NamedTuple):
    """Result of k-means.

    Attributes:
        centers: `(clusters, d)`, the mean of each cluster's points.
        labels: `(n,)`, the cluster of each point.
        inertia: sum of the squared distances of the points to their centres.
    """

    centers: Float[Array, "m d"]
    labels: Int[Array, " n"]
    inertia: Float[Array, ""]


def kmeans(
    points: Points,
    clusters: int,
    *,
    key: Array,
    restarts: int = 10,
    iterations: int = 100,
    weights: Float[Array | np.ndarray, " n"] | None = None,
) -> Clusters:
    """K-means: centres c and labels l that minimise `Σ_i w_i |x_i - c_(l_i)|²`, the best of several restarts.

    Seeds are drawn by greedy k-means++ (of a few candidates, the one that helps most). Lloyd's iterations stop when no
    label changes; of more than four restarts the best quarter goes on after five iterations. A cluster that loses all
    its points moves to the point farthest from its own centre; where fewer points than clusters are distinct, some
    clusters stay empty and sit on a point. The same key gives the same result. Maps over batches with `jax.vmap`.
    Differentiable in the points, with the labels held fixed.

    Args:
        points: `(n, d)`. They are centred and scaled inside, so that float32 is enough wherever they lie.
        clusters: from 1 to n.
        key: of `jax.random`.
        restarts: how many seedings are tried.
        iterations: a bound on Lloyd's iterations; 0 keeps the seeds' own clusters.
        weights: `(n,)`, at least 0. A point of weight 0 is labelled but moves nothing.

    Raises:
        ValueError: clusters, restarts or iterations out of range, points that are not finite or of another rank,
            weights of another shape or below 0. (Values inside `jax.jit` are not known, and not checked.)
        TypeError: points that are not an array of floating point.

    Source: Lloyd 1982; Arthur & Vassilvitskii 2007, "k-means++" [paper]; number of candidates as in
    scikit-learn [third party]; empty clusters and early judgement [ours].
    """
    check_table("points", points, "(n, d)")
    if weights is not None:
        check_weights(weights, "point", points.shape[0])
    return clustered(points, clusters, key, restarts=restarts, iterations=iterations, weights=weights)


def clustered(
    points: Points,
    clusters: int,
    key: Array,
    *,
    restarts: int,
    iterations: int,
    weights: Float[Array | np.ndarray, " n"] | None,
) -> Clusters:
    """`kmeans`, of values that may be NaN, which are then NaN in the centres."""
    n = points.shape[0]
    for name, value, low, high in (
        ("clusters", clusters, 1, n),
        ("restarts", restarts, 1, math.inf),
        ("iterations", iterations, 0, math.inf),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            limit = f"from {low} to {high}, the number of points" if high == n else f"of at least {low}"
            raise ValueError(f"{name} must be a whole number {limit}; got {value!r}")
    X = jnp.asarray(points)
    w = vary_as(jnp.ones(n, X.dtype) if weights is None else jnp.asarray(weights, X.dtype), X)
    return _best(X, w, key, iterations, clusters=clusters, restarts=restarts)


def elbow(
    points: Points,
    *,
    key: Array,
    lowest: int = 3,
    highest: int | None = None,
    restarts: int = 4,
    iterations: int = 30,
) -> Int[Array, ""]:
    """A number of clusters for k-means: where the curve of inertia bends the most.

    With numbers of clusters and inertia both scaled to [0, 1], it is the number farthest below the line between the
    curve's ends; `lowest` where all points are equal.

    Args:
        points: `(n, d)`.
        key: of `jax.random`.
        lowest: the smallest number tried.
        highest: the largest number tried; by default the square root of n, rounded up, and at least `lowest`.
        restarts: of k-means, for each number.
        iterations: of k-means, at most.

    Returns:
        A scalar; `int()` of it is what the `clusters` of `jaxcam.kmeans` and `jaxcam.clustercam` take.

    Raises:
        ValueError: a range that is empty or reaches outside 1 to n, points that are not finite or of another rank.
        TypeError: points that are not an array of floating point.

    Source: Satopää et al. 2011, "Kneedle" [paper], for one curve without smoothing [ours].
    """
    check_table("points", points, "(n, d)")
    n = points.shape[0]
    highest = max(lowest, math.ceil(math.sqrt(n))) if highest is None else highest
    if not 1 <= lowest <= highest <= n:
        raise ValueError(
            f"numbers of clusters to try must satisfy 1 <= lowest <= highest <= {n}, the number of points; "
            f"got {lowest} to {highest}"
        )
    curve = _curve(jnp.asarray(points), key, iterations, lowest=lowest, highest=highest, restarts=restarts)
    low, high = jnp.min(curve), jnp.max(curve)
    height = (curve - low) / jnp.where(high > low, high - low, 1)
    line = 1 - jnp.linspace(0, 1, curve.shape[0], dtype=curve.dtype)
    return lowest + jnp.where(high > low, jnp.argmax(line - height), 0)


@functools.partial(jax.jit, static_argnames=("lowest", "highest", "restarts"))
def _curve(
    X: Array, key: Array, iterations: Array | int, *, lowest: int, highest: int, restarts: int
) -> Array:
    """Inertia for each number of clusters, every one from the first seeds of the same seedings."""
    w = jnp.ones(X.shape[0], X.dtype)
    X, _, _ = _standard(X, w)
    seeds = jax.vmap(lambda k: _seed(X, w, highest, k))(jax.random.split(key, restarts))
    counts = jnp.arange(lowest, highest + 1)
    return jax.lax.map(lambda count: jnp.min(_lloyd(X, w, seeds, iterations, count)[2]), counts)


@functools.partial(jax.jit, static_argnames=("clusters", "restarts"))
def _best(
    X: Array, w: Array, key: Array, iterations: Array | int, *, clusters: int, restarts: int
) -> Clusters:
    fixed, w_fixed = jax.lax.stop_gradient((X, w))
    fixed, origin, size = _standard(fixed, w_fixed)
    seeds = jax.vmap(lambda k: _seed(fixed, w_fixed, clusters, k))(jax.random.split(key, restarts))
    if restarts > FULL:
        # most seeds show early that they will not win: the best quarter goes on
        seeds, _, inertia = _lloyd(fixed, w_fixed, seeds, jnp.minimum(iterations, EARLY))
        seeds = seeds[jax.lax.top_k(-inertia, max(2, restarts // 4))[1]]
        iterations = jnp.maximum(iterations - EARLY, 0)
    centers, labels, inertia = _lloyd(fixed, w_fixed, seeds, iterations)
    best = jnp.argmin(inertia)
    labels, resting = labels[best], centers[best]

    # once more from the points themselves, so that derivatives reach them
    members = jax.nn.one_hot(labels, clusters, dtype=X.dtype) * w[:, None]
    mass = jnp.sum(members, axis=0)[:, None]
    # an offset against rounding: any point near them does
    middle = jax.lax.stop_gradient(X[jnp.argmax(w)])[None]
    mean = middle + _dot(members.T, X - middle) / jnp.where(mass > 0, mass, 1)
    found = jnp.where(mass > 0, mean, resting * size + origin)
    apart = X - found[labels]
    return Clusters(found, labels, jnp.sum(w * jnp.sum(apart * apart, axis=1)))


def _standard(X: Array, w: Array) -> tuple[Array, Array, Array]:
    """Points around 0 within [-1, 1], with the origin `(1, d)` and the size that were taken out."""
    total = jnp.sum(w)
    origin = (_dot(w, X) / jnp.where(total > 0, total, 1))[None]
    size = jnp.max(jnp.where(w[:, None] > 0, jnp.abs(X - origin), 0))
    size = jnp.where(size > 0, size, 1)
    return (X - origin) / size, origin, size


def _dot(a: Array, b: Array) -> Array:
    # accelerators round float32 products otherwise
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _squares(x: Array) -> Array:
    return jnp.sum(x * x, axis=-1)


def _seed(X: Array, w: Array, clusters: int, key: Array) -> Array:
    """Greedy k-means++: centres `(clusters, d)`, each drawn with a chance in proportion to its squared distance."""
    candidates = 2 + int(math.log(clusters))
    first, rest = jax.random.split(key)

    def draw(key, chances, count):
        # a cumulative sum and a binary search: the draw costs n, not n times the number of candidates
        edges = jnp.cumsum(chances)
        at = jax.random.uniform(key, (count,), X.dtype) * edges[-1]
        return jnp.minimum(jnp.searchsorted(edges, at, side="right"), X.shape[0] - 1)

    norms = _squares(X)

    def distances(chosen):
        return jnp.maximum(norms[:, None] - 2 * _dot(X, X[chosen].T) + norms[chosen][None], 0)

    start = draw(first, w, 1)

    def step(nearest, key):
        tried = draw(key, w * nearest, candidates)
        closer = jnp.minimum(nearest[:, None], distances(tried))
        best = jnp.argmin(_dot(w, closer))
        return closer[:, best], tried[best]

    nearest = distances(start)[:, 0]
    _, others = jax.lax.scan(step, nearest, jax.random.split(rest, clusters - 1))
    return X[jnp.concatenate([start, others])]


def _lloyd(
    X: Array, w: Array, centers: Array, iterations: Array | int, count: Array | None = None
) -> tuple[Array, Array, Array]:
    """Lloyd's iterations of all restarts at once: centres `(r, m, d)` -> centres, labels `(r, n)`, inertia `(r,)`.

    With a `count`, only the first `count` centres exist.
    """
    (restarts, clusters, d), n = centers.shape, X.shape[0]
    exists = jnp.arange(clusters) < (clusters if count is None else count)
    norms = _squares(X)
    # below this a squared distance is rounding, and no reason to move an empty cluster
    noise = 8 * jnp.finfo(X.dtype).eps * jnp.max(norms)

    # Each point goes to its nearest centre.
    def assign(centers):
        flat = centers.reshape(restarts * clusters, d)
        offset = _squares(flat)[None] - 2 * _dot(X, flat.T)  # |x|² is the same for every centre
        offset = jnp.where(exists[None, None], offset.reshape(n, restarts, clusters), jnp.inf)
        labels = jnp.argmin(offset, axis=-1)
        return labels.T, jnp.maximum(jnp.min(offset, axis=-1) + norms[:, None], 0).T

    # Each centre moves to the mean of its points, an empty one to the farthest point.
    def update(centers, labels, distances):
        members = jax.nn.one_hot(labels, clusters, dtype=X.dtype) * w[None, :, None]
        mass = jnp.sum(members, axis=1)
        sums = _dot(members.transpose(0, 2, 1).reshape(restarts * clusters, n), X)
        means = sums.reshape(restarts, clusters, d) / jnp.where(mass > 0, mass, 1)[..., None]
        empty = (mass == 0) & exists[None]
        kept = jnp.where((mass == 0)[..., None], centers, means)

        def refill():
            far, where = jax.lax.top_k(jnp.where(w[None] > 0, distances, -1), clusters)
            # the j-th empty cluster takes the j-th farthest point
            rank = jnp.maximum(jnp.cumsum(empty, axis=1) - 1, 0)
            moves = empty & (jnp.take_along_axis(far, rank, axis=1) > noise)
            return jnp.where(moves[..., None], X[jnp.take_along_axis(where, rank, axis=1)], kept)

        # sorting the distances costs more than the rest of the iteration, and clusters seldom run empty
        return jax.lax.cond(jnp.any(empty), refill, lambda: kept)

    def unfinished(state):
        step, *_, changed = state
        return (step < iterations) & changed

    def iterate(state):
        step, centers, labels, distances, _ = state
        centers = update(centers, labels, distances)
        after, distances = assign(centers)
        return step + 1, centers, after, distances, jnp.any(after != labels)

    labels, distances = assign(centers)
    start = (jnp.zeros_like(iterations), centers, labels, distances, vary_as(jnp.bool_(True), labels))
    _, centers, labels, distances, _ = jax.lax.while_loop(unfinished, iterate, start)
    return centers, labels, jnp.sum(w[None] * distances, axis=1)
