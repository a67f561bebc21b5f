"""The probability of the target's class, or a callable target's value, in chunks of forward passes.

Every metric that perturbs the picture reads it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from .._dtypes import widen
from ..devices._chunks import default_chunk, forward_bytes
from ..probes._probe import Image, Probe
from ..targets import _score
from ..targets._several import Targets
from ._inputs import check, check_count, check_targets, of_image


def measure(probe, images, targets, maps, *families, chunk, key=None, unit=True) -> dict[str, PyTree]:
    """Checks what a metric is given, and runs the families."""
    images, targets, maps = check(probe, images, targets, maps, unit=unit)
    chunk = chunk_of(probe, images, chunk)
    return run(probe, images, targets, maps, key, families=families, chunk=chunk)


@partial(jax.jit, static_argnames=("families", "chunk"))
def run(probe, images, targets, maps, key=None, *, families, chunk) -> dict[str, PyTree]:
    """One compiled program for several families of metrics over one batch, with one plain forward pass for all.

    A family is a pair: a function `(probe, images, targets, clean, maps, key, *, chunk, ...)` that returns
    `{name: (B, ...)}`, and its other options as a tuple of pairs. Both are static and compare by value, so the same
    call compiles once.
    """
    targets, clean = plain(probe, images, targets, chunk=chunk)
    results = {"target": targets, "confidence": clean}
    for function, options in families:
        results |= function(probe, images, targets, clean, maps, key, chunk=chunk, **dict(options))
    return results


def plain(
    probe: Probe, images: Array, targets: Array | Partial | None, *, chunk: int
) -> tuple[Array | Partial, Array]:
    """Each image's target, the most likely class where `targets` is None, and its probability Y."""

    def one(job):
        if targets is not None:
            return confidence(probe, images[job], of_image(targets, job))
        probabilities = _softmax(probe, images[job])
        target = jnp.argmax(probabilities).astype(jnp.int32)
        return target, _score.score(probabilities, target)

    found = over(images.shape[0], chunk, one)
    return found if targets is None else (targets, found)


def settled(probe: Probe, images: Array, targets: Targets, *, chunk: int | None) -> Targets:
    """The targets, checked, with None made each image's most likely class."""
    if check_targets(probe, images, targets) is not None:
        return targets
    return _settled(probe, images, chunk=chunk_of(probe, images, chunk))


@partial(jax.jit, static_argnames="chunk")
def _settled(probe, images, *, chunk):
    return plain(probe, images, None, chunk=chunk)[0]


def chunk_of(probe: Probe, images: Array, chunk: int | None) -> int:
    """Forward passes at once, checked; by default what suits the device."""
    if chunk is None:
        return default_chunk(images.shape[1:], each=lambda: forward_bytes(probe, images))
    return check_count("chunk", chunk)


def confidence(probe: Probe, image: Image, target: Array | Partial) -> Float[Array, ""]:
    """Softmax probability of class `target` for one image, NaN for a class that the model does not have; or the value
    of a callable target."""
    if callable(target):
        return widen(_score.score(probe(image)[0], target))
    return _score.score(_softmax(probe, image), target)


def over(count: int, chunk: int, job: Callable[[Array], Any]) -> Any:
    """`job` of 0 .. count - 1, stacked; about `chunk` at once, in batches of equal size, so that it compiles once."""
    batches = -(-count // chunk)
    size = -(-count // batches)
    jobs = np.minimum(np.arange(batches * size, dtype=np.int32), count - 1)
    results = jax.lax.map(job, jnp.asarray(jobs), batch_size=size)
    return jax.tree.map(lambda result: result[:count], results)


def masked(image: Float[Array, "*space C"], shown: Float[Array, "*space"]) -> Array:
    """`x ⊙ L`, in the image's dtype. The image is normalised already: what L hides becomes the mean colour."""
    wide = max(image.dtype, shown.dtype, key=lambda dtype: jnp.finfo(dtype).bits)
    return (image.astype(wide) * shown.astype(wide)[..., None]).astype(image.dtype)


def _softmax(probe: Probe, image: Image) -> Array:
    output, _ = probe(image)
    return jax.nn.softmax(widen(output))
