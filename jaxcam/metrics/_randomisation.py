"""Do maps depend on what the model has learned: its layers are drawn anew, from the top."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import check_images, check_probe
from .._dtypes import ArrayLike
from .._explain import explain
from .._method import Method
from ..probes._probe import Probe
from ..targets._several import Targets
from ._confidence import settled
from ._correlation import spearman
from ._inputs import check_count
from ._parameters import layers_of

BINS = 100  # of the histogram


def randomised(probe: Probe, images: ArrayLike, *, key: Array) -> Iterator[tuple[str, Probe]]:
    """The probe as its layers lose what they have learned: the last one, the last two, and so on to all.

    A layer is a module that has parameters of its own (weights, biases, and a norm's statistics). It stands where the
    program first uses them. Parameters that the output does not depend on stay as they are; the layers of a stack that
    one scan runs are one layer. A new value is one of the values of its array, each as likely: their distribution stays
    and what was learned goes, whatever the array is for.

    Args:
        probe: from `jaxcam.probe`.
        images: `(B, *space, C)`, of the shape and type that the model is for; their values do not matter.
        key: of jax.random. No two layers share their draws.

    Returns:
        For each stage the layer that was drawn last, and the probe. All compile to one program.

    Raises:
        ValueError: a probe without parameters that its output depends on.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv 1810.03292 [paper]; an array's own values, for
    those of an initialiser, which no model says [ours].
    """
    check_probe(probe)
    images = check_images(images)
    layers = layers_of(probe, jax.ShapeDtypeStruct(images.shape[1:], images.dtype))
    if not layers:
        raise ValueError(
            "the probe has no parameters that its output depends on: give a function's as variables=, or make it a "
            "jax.tree_util.Partial of them"
        )
    return _stages(probe, layers, key)


def _stages(probe: Probe, layers: Mapping[str, list[int]], key: Array) -> Iterator[tuple[str, Probe]]:
    leaves, structure = jax.tree.flatten(probe.parameters)
    chosen = [number for numbers in layers.values() for number in numbers]
    anew = dict(zip(chosen, _drawn([leaves[number] for number in chosen], key), strict=True))
    for name, numbers in reversed(list(layers.items())):
        for number in numbers:
            leaves[number] = anew[number]
        yield name, Probe(jax.tree.unflatten(structure, leaves), probe.anatomy, probe.inputs, probe.read)


def _drawn(arrays: Sequence[Array | np.ndarray], key: Array) -> list[Array]:
    """Each value one of its array's. All arrays of a type are one draw: a program for each would be slow to compile."""
    found: list = list(arrays)
    for number, kind in enumerate(dict.fromkeys(each.dtype for each in arrays)):
        places = [place for place, each in enumerate(arrays) if each.dtype == kind]
        sizes = np.array([arrays[place].size for place in places], np.uint32)
        starts = np.cumsum(sizes, dtype=np.uint32) - sizes
        parts = _values([arrays[place] for place in places], sizes, starts, jax.random.fold_in(key, number))
        for place, part in zip(places, parts, strict=True):
            found[place] = part
    return found


@jax.jit
def _values(arrays, sizes, starts, key) -> list[Array]:
    """`sizes` and `starts` of the arrays are arguments: of constants, XLA would compute what is repeated slowly."""
    total = sum(each.size for each in arrays)
    size, start = (jnp.repeat(each, sizes, total_repeat_length=total) for each in (sizes, starts))
    flat = jnp.concatenate([each.ravel() for each in arrays])
    drawn = flat[start + jax.random.bits(key, (total,), jnp.uint32) % size]
    ends = list(itertools.accumulate(each.size for each in arrays))
    return [part.reshape(each.shape) for part, each in zip(jnp.split(drawn, ends[:-1]), arrays, strict=True)]


def parameter_randomisation(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    *,
    method: Method | str,
    key: Array,
    chunk: int | None = None,
    **options: object,
) -> tuple[Float[Array, "stages B"], tuple[str, ...]]:
    """Model parameter randomisation test: `Spearman(|M|, |M'|)`, M' the map once layers from the top are drawn anew.

    Near 1 for a method whose maps do not show what the model has learned, such as the edges of the picture.

    Args:
        probe: the layer that is explained, from `jaxcam.probe`.
        images: `(B, *space, C)` of floating point, preprocessed for the model.
        targets: as in `average_drop`; None for the most likely class of the model as it is, at all stages.
        method: a function of `jaxcam.METHODS`, or its name. Its raw maps are compared, at the layer's size.
        key: of jax.random, for the layers' new parameters, see `randomised`.
        chunk: as in `jaxcam.explain`.
        **options: the method's options.

    Returns:
        `(stages, B)` in [-1, 1], 0 where a map is constant, NaN where one is not finite; and the names of the layers:
        at a stage that layer and all after it are drawn anew, at the last stage all.

    Raises:
        ValueError, TypeError: as `jaxcam.explain`; a probe without parameters.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv 1810.03292 [paper]; raw maps [ours], for the
    rest see `randomised`.
    """
    before, found = None, []
    for name, maps in _maps(probe, images, targets, method, key, chunk, options):
        if before is None:
            before = maps
        else:
            found.append((name, _similar(before, maps)))
    return jnp.stack([each for _, each in found]), tuple(name for name, _ in found)


def efficient_parameter_randomisation(
    probe: Probe,
    images: ArrayLike,
    targets: Targets,
    *,
    method: Method | str,
    key: Array,
    bins: int = BINS,
    chunk: int | None = None,
    **options: object,
) -> Float[Array, "B"]:
    """Efficient parameter randomisation test of each image: `(H(M') - H(M)) / H(M)`, all layers of M' drawn anew.

    H is the entropy of the histogram of a raw map, `-Σ_b p_b log p_b`, of bins of equal width from the map's lowest
    value to its highest. Higher is better: a map of an untrained model should be noise.

    Args:
        probe, images, targets, method, key, chunk, **options: as in `parameter_randomisation`:
            `(B, *space, C)`.
        bins: of the histogram.

    Returns:
        `(B,)`, at least -1; 0 where M is constant, NaN where a map is not finite.

    Source: Hedström et al. 2024, "Sanity Checks Revisited", arXiv 2401.06465, and its code in Quantus [paper]; raw
    maps, constant maps [ours].
    """
    check_count("bins", bins)
    maps = [each for _, each in _maps(probe, images, targets, method, key, chunk, options, whole=True)]
    return _rise(*maps, bins=bins)


def _maps(probe, images, targets, method, key, chunk, options, *, whole=False) -> Iterator[tuple[str, Array]]:
    """Raw maps of the model as it is, then of each stage, or (`whole`) of the last one."""
    stages = randomised(probe, images, key=key)
    images = check_images(images)
    targets = settled(probe, images, targets, chunk=chunk)
    if whole:
        *_, last = stages
        stages = [last]
    for name, each in [("", probe), *stages]:
        yield name, explain(each, images, targets, method=method, raw=True, chunk=chunk, **options)


@jax.jit
def _similar(before, after):
    return jax.vmap(spearman)(jnp.abs(before), jnp.abs(after))


@partial(jax.jit, static_argnames="bins")
def _rise(before, after, *, bins):
    first, last = (jax.vmap(partial(_entropy, bins=bins))(each) for each in (before, after))
    return jnp.where(first == 0, 0, (last - first) / jnp.where(first == 0, 1, first))


def _entropy(raw: Float[Array, "*space"], *, bins: int) -> Float[Array, ""]:
    """Of the histogram of a map."""
    finite = jnp.all(jnp.isfinite(raw))
    counts, _ = jnp.histogram(jnp.where(finite, raw, 0).ravel(), bins=bins)
    shares = counts.astype(raw.dtype) / raw.size
    return jnp.where(finite, -jnp.sum(shares * jnp.log(jnp.where(shares > 0, shares, 1))), jnp.nan)
