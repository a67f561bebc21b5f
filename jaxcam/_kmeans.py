"""k-means: greedy k-means++ seeds, Lloyd's iterations, the best of several restarts."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Points = Float[Array | np.ndarray, "n d"]


class Clusters(NamedTuple):
    """What k-means finds.

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
    label changes. A cluster that loses all its points moves to the point farthest from its own centre; where fewer
    points than clusters are distinct, some clusters stay empty and sit on a point. The same key gives the same result.
    Maps over batches with `jax.vmap`. Differentiable in the points, with the labels held fixed.

    Args:
        points: `(n, d)`. They are centred and scaled inside, so that float32 is enough wherever they lie.
        clusters: from 1 to n.
        key: of `jax.random`.
        restarts: how many seedings are tried.
        iterations: a bound on Lloyd's iterations; 0 keeps the seeds' own clusters.
        weights: `(n,)`, at least 0. A point of weight 0 is labelled but moves nothing.

    Raises:
        ValueError: clusters, restarts or iterations out of range, weights of another shape.

    Source: Lloyd 1982; Arthur & Vassilvitskii 2007, "k-means++" [paper]; number of candidates as in
    scikit-learn [third party]; empty clusters [ours].
    """
    n = points.shape[0]
    for name, value, low, high in (
        ("clusters", clusters, 1, n),
        ("restarts", restarts, 1, math.inf),
        ("iterations", iterations, 0, math.inf),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            limit = f"from {low} to {high}, the number of points" if high == n else f"of at least {low}"
            raise ValueError(f"{name} is a whole number {limit}; got {value!r}")
    X = jnp.asarray(points)
    w = jnp.ones(n, X.dtype) if weights is None else jnp.asarray(weights, X.dtype)
    if w.shape != (n,):
        raise ValueError(f"weights must be one per point, ({n},); got shape {w.shape}")

    return _best(X, w, key, iterations, clusters=clusters, restarts=restarts)


@functools.partial(jax.jit, static_argnames=("clusters", "restarts"))
def _best(
    X: Array, w: Array, key: Array, iterations: Array | int, *, clusters: int, restarts: int
) -> Clusters:
    fixed, w_fixed = jax.lax.stop_gradient((X, w))
    total = jnp.where(jnp.sum(w_fixed) > 0, jnp.sum(w_fixed), 1)
    fixed = fixed - (w_fixed @ fixed / total)[None]
    largest = jnp.max(jnp.where(w_fixed[:, None] > 0, jnp.abs(fixed), 0))
    fixed = fixed / jnp.where(largest > 0, largest, 1)
    seeds = jax.vmap(lambda k: _seed(fixed, w_fixed, clusters, k))(jax.random.split(key, restarts))
    centers, labels, inertia = _lloyd(fixed, w_fixed, seeds, iterations)
    best = jnp.argmin(inertia)
    labels, resting = labels[best], centers[best]

    # once more from the points themselves, so that derivatives reach them
    members = jax.nn.one_hot(labels, clusters, dtype=X.dtype) * w[:, None]
    mass = jnp.sum(members, axis=0)[:, None]
    middle = jax.lax.stop_gradient(X[jnp.argmax(w)])[
        None
    ]  # an offset against rounding; any point near them does
    mean = middle + _dot(members.T, X - middle) / jnp.where(mass > 0, mass, 1)
    origin = w_fixed @ jax.lax.stop_gradient(X) / total
    unmoved = resting * jnp.where(largest > 0, largest, 1) + origin[None]
    found = jnp.where(mass > 0, mean, unmoved)
    apart = X - found[labels]
    return Clusters(found, labels, jnp.sum(w * jnp.sum(apart * apart, axis=1)))


def _dot(a: Array, b: Array) -> Array:
    return jnp.matmul(
        a, b, precision=jax.lax.Precision.HIGHEST
    )  # accelerators round float32 products otherwise


def _squares(x: Array) -> Array:
    return jnp.sum(x * x, axis=-1)


def _seed(X: Array, w: Array, clusters: int, key: Array) -> Array:
    """Greedy k-means++: centres `(clusters, d)`, each drawn with a chance in proportion to its squared distance."""
    candidates = 2 + int(math.log(clusters))
    first, rest = jax.random.split(key)
    # a cumulative sum and a binary search: the draw itself costs n, not n times the number of candidates

    def draw(key, chances, count):
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
        best = jnp.argmin(w @ closer)
        return closer[:, best], tried[best]

    nearest = distances(start)[:, 0]
    _, others = jax.lax.scan(step, nearest, jax.random.split(rest, clusters - 1))
    return X[jnp.concatenate([start, others])]


def _lloyd(X: Array, w: Array, centers: Array, iterations: Array | int) -> tuple[Array, Array, Array]:
    """Lloyd's iterations of all restarts at once: centres `(r, m, d)` -> centres, labels `(r, n)`, inertia `(r,)`."""
    (restarts, clusters, d), n = centers.shape, X.shape[0]
    norms = _squares(X)
    # below this a squared distance is rounding, and no reason to move an empty cluster
    noise = 8 * jnp.finfo(X.dtype).eps * jnp.max(norms)

    def assign(centers):
        flat = centers.reshape(restarts * clusters, d)
        offset = _squares(flat)[None] - 2 * _dot(X, flat.T)  # |x|² is the same for every centre
        offset = offset.reshape(n, restarts, clusters)
        labels = jnp.argmin(offset, axis=-1)
        return labels.T, jnp.maximum(jnp.min(offset, axis=-1) + norms[:, None], 0).T

    def update(centers, labels, distances):
        members = jax.nn.one_hot(labels, clusters, dtype=X.dtype) * w[None, :, None]
        mass = jnp.sum(members, axis=1)
        sums = _dot(members.transpose(0, 2, 1).reshape(restarts * clusters, n), X)
        means = sums.reshape(restarts, clusters, d) / jnp.where(mass > 0, mass, 1)[..., None]
        empty = mass == 0
        far, where = jax.lax.top_k(jnp.where(w[None] > 0, distances, -1), clusters)
        rank = jnp.maximum(
            jnp.cumsum(empty, axis=1) - 1, 0
        )  # the j-th empty cluster takes the j-th farthest point
        moves = empty & (jnp.take_along_axis(far, rank, axis=1) > noise)
        seeds = X[jnp.take_along_axis(where, rank, axis=1)]
        kept = jnp.where(empty[..., None], centers, means)
        return jnp.where(moves[..., None], seeds, kept)

    def unfinished(state):
        step, *_, changed = state
        return (step < iterations) & changed

    def iterate(state):
        step, centers, labels, distances, _ = state
        centers = update(centers, labels, distances)
        after, distances = assign(centers)
        return step + 1, centers, after, distances, jnp.any(after != labels)

    labels, distances = assign(centers)
    start = (jnp.zeros_like(iterations), centers, labels, distances, jnp.bool_(True))
    _, centers, labels, distances, _ = jax.lax.while_loop(unfinished, iterate, start)
    return centers, labels, jnp.sum(w[None] * distances, axis=1)
