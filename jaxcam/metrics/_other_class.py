"""Is a map its class's own: the random logit test."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import check_images, check_probe, shape_of_output
from .._dtypes import ArrayLike
from .._explain import explain
from .._method import Method
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import settled
from ._correlation import spearman
from ._keys import keys_of


def random_logit(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    *,
    method: Method | str,
    key: Array,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """Random logit test of each image: `Spearman(M_c, M_d)`, d another class, drawn at random.

    Lower is better: near 1 for a method whose maps do not show the class.

    Args:
        probe: the layer that is explained, from `jaxcam.probe`.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: class c: an integer, integers `(B,)`, or None for the most likely class.
        method: a function of `jaxcam.METHODS`, or its name. Its raw maps are compared, at the layer's size.
        key: of jax.random, for the classes d; or keys `(B,)`, each image's own.
        chunk: as in `jaxcam.explain`.
        **options: the method's options.

    Returns:
        `(B,)` in [-1, 1]; 0 where a map is constant, NaN where one is not finite.

    Raises:
        ValueError: as `jaxcam.explain`; a model of one class.
        TypeError: as `jaxcam.explain`; a callable target, which has no other class.

    Source: Sixt et al. 2020, "When Explanations Lie", arXiv 1912.09818 [paper], with Quantus' similarity [third party];
    raw maps [ours].
    """
    check_probe(probe)
    images = check_images(images)
    if callable(targets) or (isinstance(targets, list | tuple) and any(map(callable, targets))):
        raise TypeError(
            f"the random logit test is of classes: targets must be class indices; got {targets!r}"
        )
    classes = settled(probe, images, targets, chunk=chunk)
    count = shape_of_output(probe, images).shape[0]
    if count < 2:
        raise ValueError("the random logit test needs a model of at least two classes; this one has 1")
    pairs = pairs_of(jnp.asarray(classes, jnp.int32), keys_of(key, len(images)), count)
    return _similar(explain(probe, images, pairs, method=method, raw=True, chunk=chunk, **cast(Any, options)))


@jax.jit
def _similar(maps: Float[Array, "B 2 *space"]) -> Float[Array, "B"]:
    return jax.vmap(lambda pair: spearman(*pair))(maps)


def pairs_of(classes: Array, keys: Array, count: int) -> Array:
    """Each image's class, and another one."""
    classes = jnp.broadcast_to(classes, keys.shape[:1])
    further = jax.vmap(lambda key: jax.random.randint(key, (), 1, count, jnp.int32))(keys)
    return jnp.stack([classes, (classes + further) % count], axis=1)
