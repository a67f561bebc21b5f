"""Deep Feature Factorization: the concepts that a batch of images shares, by non-negative matrix factorization."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._checks import check_images, check_probe
from .._dtypes import dot, widen
from .._errors import check_count, choose
from ..devices._chunks import over_chunks
from ..probes._probe import Probe


class Factorization(NamedTuple):
    """Concepts of a layer, and where they are in each image of a batch.

    Attributes:
        maps: how strong each concept is at each position, at least 0, `(B, k, *space)`. `jaxcam.display(maps,
            size=...)` shows them: each from 0 to 1, at the image's size. (pytorch-grad-cam scales before it enlarges.)
        concepts: `(k, K)`: a concept's activation of the layer's channels.
        scores: the model's output for each concept, usually logits `(k, classes)`.
    """

    maps: Float[Array, "B k *space"]
    concepts: Float[Array, "k K"]
    scores: PyTree


def dff(
    probe: Probe,
    images: Float[Array | np.ndarray, "B *image C"],
    *,
    concepts: int = 5,
    key: Array | None = None,
    start: Sequence | None = None,
    rule: str = "coordinate",
    iterations: int = 200,
    tolerance: float | int = 1e-4,
    chunk: int | None = None,
) -> Factorization:
    """Deep Feature Factorization: `A_bp - min A ≈ Σ_j H_bjp (C_j - min A)`, all factors at least 0.

    The activations of all images and positions are rows of one matrix, less each channel's minimum over them; its
    non-negative factorization has k concepts `C_j` `(K)` and their maps `H_bj` `(*space)`. No class and no gradient.
    A concept's score is the model's output where the layer is that concept at every position, which names it: after
    global pooling and a linear layer that is the classifier applied to the concept. (What of the model goes round the
    layer is taken from the first image.) One forward pass for each image, and one of what follows the layer for each
    concept. The same key gives the same factors. Not differentiable.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        images: `(B, *space, C)`, preprocessed for the model: a batch, over which concepts are shared.
        concepts: their number k.
        key: of `jax.random`, for the start; `jax.random.key(0)` by default. Draws are |N(0, 1)| times the square root
            of the matrix's mean over k.
        start: `(maps, concepts)` to start from in place of draws, such as an earlier result, which then goes on.
        rule: how factors are improved: "coordinate", each concept in turn to its best given the others, or
            "multiplicative", Lee and Seung's updates, which take far more iterations to be as near.
        iterations: at most; each improves the concepts, then the maps.
        tolerance: stop where the projected gradient (its absolute values, summed) is at most this share of the first
            iteration's; 0 takes all iterations.
        chunk: images and concepts forwarded at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        Maps `(B, k, *space)`, concepts `(k, K)` and their scores `(k, classes)`. Where an activation is NaN or
        infinite, all of them are NaN.

    Raises:
        ValueError: images of another shape, concepts, iterations or chunk below 1, a tolerance below 0, an unknown
            rule, a start of other shapes.
        TypeError: a model in place of a probe, images that are not of floating point.

    Source: Collins et al. 2018, "Deep Feature Factorization", arXiv 1806.10206 [paper]; the channels' minima, the
    start, the rule "coordinate", its end and the concepts' scores as pytorch-grad-cam with scikit-learn [third party];
    "multiplicative": Lee & Seung 2001 [paper].

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
        >>> maps, concepts, scores = jaxcam.dff(probe, images, concepts=3)
        >>> maps.shape, concepts.shape, scores.shape
        ((4, 3, 8, 8), (3, 64), (3, 10))
    """
    check_probe(probe)
    if len(probe.layers) > 1:
        raise TypeError(f"dff looks at one layer: take one, such as probe[{probe.layers[-1]!r}]")
    batch = check_images(images)
    for name, value in (("concepts", concepts), ("iterations", iterations)):
        check_count(name, value)
    if chunk is not None:
        check_count("chunk", chunk)
    choose("rule", rule, RULES)
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a number of at least 0; got {tolerance!r}")
    begin = jax.random.key(0) if start is None and key is None else key
    given = None if start is None else (jnp.asarray(start[0]), jnp.asarray(start[1]))
    # jitted, so that eager calls compile its loop once
    return _dff(
        probe,
        batch,
        begin,
        given,
        count=concepts if given is None else given[1].shape[0],
        rule=rule,
        iterations=iterations,
        tolerance=tolerance,
        chunk=chunk,
    )


@functools.partial(jax.jit, static_argnames=("count", "rule", "iterations", "tolerance", "chunk"))
def _dff(probe, images, key, start, *, count, rule, iterations, tolerance, chunk) -> Factorization:
    # The activations as a matrix without negative numbers.
    one = images.shape[1:]
    A = over_chunks(lambda image: widen(probe(image)[1]), images, chunk, one)
    B, *space, K = A.shape
    lowest = jnp.min(A, axis=tuple(range(A.ndim - 1)))
    X = A.reshape(-1, K) - lowest[None]
    finite = jnp.all(jnp.isfinite(X))
    X = jnp.where(finite, X, 0)

    # Its factors: concepts (k, K), and maps (k, B·P).
    if start is None:
        C, H = _drawn(key, X, count)
    else:
        C, H = _given(start, lowest, (B, count, *space), X.dtype)
    C, H = _factors(X, C, H, RULES[rule], iterations, tolerance)
    C, H = (jnp.where(finite, each, jnp.nan) for each in (C, H))

    # The model's output for each concept.
    found = C + lowest[None]

    def score(concept: Array) -> PyTree:
        return probe(images[0], lambda A: jnp.broadcast_to(concept, A.shape).astype(A.dtype))[0]

    scores = jax.tree.map(widen, over_chunks(score, found, chunk, one))
    maps = jnp.moveaxis(H.reshape(count, B, *space), 0, 1)
    return Factorization(maps, found, scores)


Rule = Callable[[Array, Array, Array], tuple[Array, Array]]


def _factors(
    X: Float[Array, "n K"],
    C: Float[Array, "k K"],
    H: Float[Array, "k n"],
    improved: Rule,
    iterations: int,
    tolerance: float | int,
) -> tuple[Array, Array]:
    """Factors of X ≈ Hᵀ C, improved until little is left to gain."""

    def unfinished(state: tuple) -> Array:
        number, _, _, first, left = state
        return (number < iterations) & ((number == 0) | (left > tolerance * first))

    def step(state: tuple) -> tuple:
        number, C, H, first, _ = state
        C, left = improved(C, dot(H, H.T), dot(H, X))
        H, more = improved(H, dot(C, C.T), dot(C, X.T))
        left = left + more
        return number + 1, C, H, jnp.where(number == 0, left, first), left

    zero = jnp.zeros((), X.dtype)
    _, C, H, _, _ = jax.lax.while_loop(unfinished, step, (0, C, H, zero, zero))
    return C, H


def _coordinate(
    F: Float[Array, "k n"], gram: Float[Array, "k k"], seen: Float[Array, "k n"]
) -> tuple[Array, Array]:
    """Each row of F in turn to its best, given the other rows and the other factor, whose Gram matrix is `gram`; and
    the sum of the projected gradient's absolute values on the way."""

    def one(j: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        F, left = state
        slope = dot(gram[j], F) - seen[j]
        bend = gram[j, j]
        row = jnp.where(bend > 0, jax.nn.relu(F[j] - slope / jnp.where(bend > 0, bend, 1)), F[j])
        return F.at[j].set(row), left + _left(F[j], slope)

    return jax.lax.fori_loop(0, len(F), one, (F, jnp.zeros((), F.dtype)))


def _multiplicative(
    F: Float[Array, "k n"], gram: Float[Array, "k k"], seen: Float[Array, "k n"]
) -> tuple[Array, Array]:
    """F times what the product lacks; and the sum of the projected gradient's absolute values before."""
    made = dot(gram, F)
    return F * seen / jnp.where(made > 0, made, float(jnp.finfo(jnp.float32).eps)), _left(F, made - seen)


RULES: dict[str, Rule] = {"coordinate": _coordinate, "multiplicative": _multiplicative}


def _left(F: Array, slope: Array) -> Array:
    """Where a factor is 0 it cannot fall, and only a slope below 0 counts."""
    return jnp.sum(jnp.abs(jnp.where(F == 0, jnp.minimum(slope, 0), slope)))


def _drawn(key: Array, X: Array, count: int) -> tuple[Array, Array]:
    size = jnp.sqrt(jnp.mean(X) / count)
    shapes = (count, X.shape[1]), (count, X.shape[0])
    keys = jax.random.split(key)
    C, H = (
        size * jnp.abs(jax.random.normal(each, shape, X.dtype))
        for each, shape in zip(keys, shapes, strict=True)
    )
    return C, H


def _given(start: tuple[Array, Array], lowest: Array, shape: tuple[int, ...], dtype) -> tuple[Array, Array]:
    maps, concepts = start
    wanted = shape, (shape[1], *lowest.shape)
    if (maps.shape, concepts.shape) != wanted:
        raise ValueError(
            f"start must be maps {wanted[0]} and concepts {wanted[1]}; got {maps.shape} and {concepts.shape}"
        )
    C = jax.nn.relu(concepts.astype(dtype) - lowest[None])
    return C, jnp.moveaxis(jax.nn.relu(maps.astype(dtype)), 1, 0).reshape(shape[1], -1)
