"""Does a map stay where it is when the picture hardly changes: max-sensitivity."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import check_images, check_probe
from .._dtypes import ArrayLike
from .._explain import maps_of
from .._method import Method
from .._request import bind
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import chunk_of, over, settled
from ._inputs import check_count
from ._keys import keys_of

DRAWS = 200
RADIUS = 0.2


def max_sensitivity(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    *,
    method: Method | str,
    key: Array,
    draws: int = DRAWS,
    radius: float | int = RADIUS,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """Max-sensitivity of each image: `max_δ |M(x + δ) - M(x)| / |M(x)|`, δ uniform in [-radius, radius].

    Lower is better; a map that never changes has 0.

    Args:
        probe: the layer that is explained, from `jaxcam.probe`.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: as in `average_drop`; None for the most likely class of the image as it is.
        method: a function of `jaxcam.METHODS`, or its name. Its raw maps are compared, at the layer's size.
        key: of jax.random, for the draws; or keys `(B,)`, each image's own.
        draws: of δ.
        radius: of δ, in units of the preprocessed image.
        chunk: pictures at once, of all images and draws; by default what suits the device. For a method that has a
            `chunk` option, the masks of one picture.
        **options: the method's options.

    Returns:
        `(B,)`, at least 0: Euclidean lengths. 0 where M(x) is zeros and stays so, infinity where it does not stay so,
        NaN where a map is not finite.

    Raises:
        ValueError: as `jaxcam.explain`; draws below 1, a radius that is negative or not finite.
        TypeError: as `jaxcam.explain`.

    Source: Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv 1901.09392 [paper]; draws and
    radius are Quantus' [third party]; raw maps [ours].
    """
    check_probe(probe)
    check_count("draws", draws)
    if not 0 <= radius < np.inf:
        raise ValueError(f"radius must be at least 0 and finite; got {radius}")
    images = check_images(images)
    targets = settled(probe, images, targets, chunk=None)
    request = bind(probe, images, targets, method=method, options=options, raw=True, chunk=chunk)
    # A method with masks has its own chunk, for all images side by side: one draw of them at once.
    static = request.static
    at_once = 1 if "chunk" in dict(static.options) else chunk_of(probe, images, static.chunk)
    static = static._replace(chunk=at_once if 1 < at_once < len(images) else None)
    return _sensitivity(
        probe,
        images,
        request.targets,
        request.arrays,
        keys_of(key, len(images)),
        radius,
        static=static,
        draws=draws,
        at_once=max(1, at_once // len(images)),
    )


@partial(jax.jit, static_argnames=("static", "draws", "at_once"))
def _sensitivity(probe, images, targets, arrays, keys, radius, *, static, draws, at_once):
    def maps(images):
        return maps_of(static, probe, images, targets, arrays)[0]

    def moved(draw, key, image):
        noise = jax.random.uniform(jax.random.fold_in(key, draw), image.shape, image.dtype, -1, 1)
        return image + noise * jnp.asarray(radius).astype(image.dtype)

    start = maps(images)
    furthest = jnp.max(
        over(
            draws, at_once, lambda draw: _length(maps(jax.vmap(partial(moved, draw))(keys, images)) - start)
        ),
        axis=0,
    )
    return jnp.where(furthest == 0, 0, furthest / _length(start))


def _length(maps: Float[Array, "B *space"]) -> Float[Array, "B"]:
    return jnp.sqrt(jnp.sum(maps**2, axis=tuple(range(1, maps.ndim))))
