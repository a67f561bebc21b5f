"""Does what a map says of a part of the picture agree with what the score loses with it.

Faithfulness correlation, μFidelity and infidelity: parts of the picture are removed, and the sum of the map over each
is compared with the loss of the score.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import ArrayLike, widen
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import confidence, measure, over
from ._correlation import pearson, spearman
from ._inputs import check_count, of_image
from ._keys import keys_of
from ._regions import regions_of


def faithfulness_correlation(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    key: Array,
    draws: int = 100,
    pixels: int = 224,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Faithfulness correlation of each image: `Pearson_S(Σ_S L, s(x) - s(x without S))`, S random sets of pixels.

    A pixel that is taken away is 0, the mean colour. Higher is better.

    Args:
        probe: a model, from `jaxcam.probe`; the layer does not matter.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: as in `average_drop`: s is the probability of a class, or the value of a callable.
        maps: `(B, *space)`, displayed or signed, at the images' size.
        key: of jax.random; or keys `(B,)`, each image's own.
        draws: of S.
        pixels: of S, drawn without replacement.
        chunk: forward passes at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        `(B,)` in [-1, 1]; 0 where the sums or the scores are constant.

    Raises:
        ValueError: counts or sizes that disagree, a class out of range, maps that are not finite, fewer than two draws,
            more pixels than the image has.
        TypeError: images or maps that are not of floating point, targets that are neither class indices nor callables.

    Source: Bhatt et al. 2020, arXiv 2005.00631 [paper]; 100 draws of 224 are Quantus' [third party], which takes
    single channels of pixels; constant values [ours].
    """
    options = ("draws", check_count("draws", draws, least=2)), ("pixels", check_count("pixels", pixels))
    family = correlations, options
    results = measure(probe, images, targets, maps, family, key=key, chunk=chunk, unit=False)
    return results["faithfulness_correlation"]


def mu_fidelity(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    key: Array,
    draws: int = 200,
    cells: int = 9,
    share: float | int = 0.2,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """μFidelity of each image: `Spearman_S(Σ_S L, s(x) - s(x without S))`, S random cells of a grid.

    A pixel that is taken away is 0, the mean colour. Higher is better.

    Args:
        probe, images, targets, maps, key, chunk: as in `faithfulness_correlation`: `(B, *space, C)` and `(B, *space)`.
        draws: of S.
        cells: of the grid, along each side.
        share: the probability of each cell to be in S.

    Returns:
        `(B,)` in [-1, 1]; 0 where the sums or the scores are constant.

    Raises:
        ValueError: as `faithfulness_correlation`; a share that is not between 0 and 1.

    Source: Bhatt et al. 2020, arXiv 2005.00631 [paper]; draws, cells and share are xplique's [third party], which reads
    the logit.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1; got {share}")
    options = ("draws", check_count("draws", draws, least=2)), ("cells", check_count("cells", cells))
    family = fidelities, (*options, ("share", float(share)))
    return measure(probe, images, targets, maps, family, key=key, chunk=chunk, unit=False)["mu_fidelity"]


def infidelity(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    maps: ArrayLike,
    *,
    patch: int = 16,
    multiplied: bool = True,
    scaled: bool = True,
    nested: bool = False,
    chunk: int | None = None,
) -> Float[Array, "B"]:
    """Infidelity of each image: `mean_S (β Σ_S L - (s(x) - s(x without S)))²`, S the squares of a grid, one at a time.

    A pixel that is taken away is 0, the mean colour. Lower is better.

    Args:
        probe, images, targets, maps, chunk: as in `faithfulness_correlation`: `(B, *space, C)` and `(B, *space)`.
        patch: side of a square, in pixels; those at the far border are cut off.
        multiplied: L says what a pixel adds to the score, as class activation maps do. False: L says what a change of
            the pixel does, as a gradient does, and the sum is that of `x L` over S and channels.
        scaled: β is the factor for which the mean is least, since a map for display has no unit; else 1.
        nested: S grows square by square, row by row, to the whole picture.

    Returns:
        `(B,)`, at least 0, in squared units of s.

    Raises:
        ValueError: as `faithfulness_correlation`; a patch below 1.

    Source: Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv 1901.09392: squares and β
    [paper]; multiplied=False, scaled=False, nested=True are Quantus' [third party]; the grid, 16 pixels [ours].
    """
    options = ("patch", check_count("patch", patch)), ("multiplied", bool(multiplied))
    family = infidelities, (*options, ("scaled", bool(scaled)), ("nested", bool(nested)))
    return measure(probe, images, targets, maps, family, chunk=chunk, unit=False)["infidelity"]


def correlations(probe, images, targets, clean, maps, key, *, draws, pixels, chunk) -> dict[str, Array]:
    """The family, for `run`."""
    space = images.shape[1:-1]
    if pixels > math.prod(space):
        raise ValueError(f"an image has {math.prod(space)} pixels; got pixels={pixels}")

    def removed(key, image):
        gone = random_pixels(key, space, pixels)
        return jnp.where(gone[..., None], image, 0), gone

    sums, losses = _against(
        probe, images, targets, clean, maps, removed, _drawn(key, len(images)), draws, chunk
    )
    return {"faithfulness_correlation": jax.vmap(pearson)(sums, losses)}


def fidelities(probe, images, targets, clean, maps, key, *, draws, cells, share, chunk) -> dict[str, Array]:
    """The family, for `run`."""

    def removed(key, image):
        gone = random_cells(key, image.shape[:-1], cells, share)
        return jnp.where(gone[..., None], image, 0), gone

    sums, losses = _against(
        probe, images, targets, clean, maps, removed, _drawn(key, len(images)), draws, chunk
    )
    return {"mu_fidelity": jax.vmap(spearman)(sums, losses)}


def infidelities(
    probe, images, targets, clean, maps, key, *, patch, multiplied, scaled, nested, chunk
) -> dict[str, Array]:
    """The family, for `run`."""
    numbers, count = regions_of(images.shape[1:-1], patch)

    def removed(square, image):
        gone = numbers <= square if nested else numbers == square
        part = jnp.where(gone[..., None], image, 0)
        return part, gone if multiplied else jnp.sum(widen(part), axis=-1)

    sums, losses = _against(
        probe, images, targets, clean, maps, removed, lambda _, square: square, count, chunk
    )
    if scaled:
        squares = jnp.sum(sums**2, axis=1, keepdims=True)
        sums *= jnp.sum(sums * losses, axis=1, keepdims=True) / jnp.where(squares > 0, squares, 1)
    return {"infidelity": jnp.mean((sums - losses) ** 2, axis=1)}


def _drawn(key: Array, count: int) -> Callable[[Array, Array], Array]:
    """The key of a draw of an image."""
    keys = keys_of(key, count)
    return lambda image, draw: jax.random.fold_in(keys[image], draw)


def _against(probe, images, targets, clean, maps, removed, name, count, chunk) -> tuple[Array, Array]:
    """Of each removal the sum of the map over what is removed and the loss of the score, `(B, count)` and `(B, count)`.

    `removed` gives, by the name of a removal and an image, what is taken from it `(*space, C)`, and the weights of the
    map `(*space)`; `name` gives the name, by the numbers of the image and the removal.
    """

    def one(job):
        index, number = job // count, job % count
        image, shown = images[index], widen(maps[index])
        part, weights = removed(name(index, number), image)
        score = confidence(probe, image - part, of_image(targets, index))
        return jnp.sum(shown * weights.astype(shown.dtype)), clean[index] - score

    sums, losses = over(len(images) * count, chunk, one)
    return sums.reshape(-1, count), losses.reshape(-1, count)


def random_pixels(key: Array, space: tuple[int, ...], pixels: int) -> Array:
    """So many of the pixels, chosen at random: `(*space)`, boolean."""
    chosen = jax.random.choice(key, math.prod(space), (pixels,), replace=False)
    return jnp.zeros(math.prod(space), bool).at[chosen].set(True).reshape(space)


def random_cells(key: Array, space: tuple[int, ...], cells: int, share: float) -> Array:
    """The pixels of the cells of a grid, each chosen with a probability: `(*space)`, boolean."""
    gone = jax.random.uniform(key, (cells,) * len(space)) <= share
    for axis, side in enumerate(space):
        nearest = ((jnp.arange(side, dtype=jnp.float32) + 0.5) * (cells / side)).astype(jnp.int32)
        gone = jnp.take(gone, nearest, axis=axis)
    return gone
