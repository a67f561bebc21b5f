"""Maps of changed views of the input, put back and averaged: test-time augmentation for any method."""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._display import display
from .._errors import check_count
from .._method import Method
from ..devices._chunks import sum_over_chunks
from ..devices._mesh import vary_as
from ..probes._probe import Image, Probe
from ..targets._score import Target, score, settle
from ._transformed import Transformed, check_method


def augmented(
    method: Method,
    *,
    scales: Sequence[float | int] = (0.9, 1.0, 1.1),
    flip: bool = True,
    chunk: int = 1,
) -> Transformed:
    """A method whose map is the mean of the maps of several views: `M = mean_v v⁻¹(N(up(relu(M(v(x))))))`.

    A view multiplies the input's values and, if `flip`, mirrors it along its last spatial axis; its map is mirrored
    back. By default six views. Where the target is None, the class is the most likely one of the input itself.

    When: small shifts of the input should not change the map, at six times the cost.

    Args:
        method: any method; the result has its signature and its options.
        scales: factors of the input's values.
        flip: also take the mirrored views.
        chunk: views computed at once, for each image of a batch.

    Raises:
        ValueError: no scales, one that is not finite, a chunk below 1.
        TypeError: a method that is not a function.

    Returns maps in [0, 1], at the input's size.

    Source: pytorch-grad-cam's `aug_smooth` [third party].
    """
    check_method("augmented", method)
    check_count("chunk", chunk)
    scales = tuple(float(each) for each in scales)
    if not scales or not all(map(math.isfinite, scales)):
        raise ValueError(f"scales must be finite numbers, at least one; got {scales!r}")
    settings = {"scales": scales, "flip": bool(flip), "chunk": chunk}
    return Transformed(method, _augmented, tuple(settings.items()))


def _augmented(
    method: Method,
    probe: Probe,
    image: Image,
    target: Target,
    *,
    scales: Sequence[float] = (0.9, 1.0, 1.1),
    flip: bool = True,
    chunk: int = 1,
) -> Array:
    output, _ = probe(image)
    target = settle(output, target)
    picture = jnp.asarray(image)
    size = picture.shape[:-1]
    views = list(itertools.product((False, True) if flip else (False,), scales))
    mirrored = jnp.asarray([each for each, _ in views])
    factors = jnp.asarray([factor for _, factor in views], picture.dtype)

    def one(view: tuple[Array, Array]) -> Array:
        mirror, factor = view
        seen = factor * jnp.where(mirror, jnp.flip(picture, -2), picture)
        found = display(method(probe, seen, target), size=size)
        return jnp.where(mirror, jnp.flip(found, -1), found)

    kind = jax.eval_shape(one, (mirrored[0], factors[0]))
    start = vary_as(jnp.zeros(size, kind.dtype), score(output, target))
    return sum_over_chunks(one, (mirrored, factors), chunk, picture.shape, start) / len(views)
