"""RISE: random masks, each weighted by the score behind it."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._dtypes import widen
from ..._errors import check_count, choose
from ..._fuse import finite_only
from ..._masks import SCORES, along_space, reader
from ..._method import of_probe
from ...devices._chunks import sum_over_chunks
from ...devices._mesh import vary_as
from ...probes._probe import Image, Probe
from ...targets._score import Target


@of_probe
def rise(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    masks: int = 6000,
    cells: int = 8,
    probability: float | int = 0.1,
    score: str = "softmax",
    key: Array | None = None,
    chunk: int | None = None,
) -> Float[Array, "*space"]:
    """RISE: `M = Σ_i p_c(A ⊙ m_i) m_i / (n p)` over n random masks m_i. No gradient.

    A mask is a grid of cells, each 1 with the probability p and otherwise 0, enlarged linearly and shifted by less
    than a cell. At `jaxcam.INPUT` A is the input, which is RISE; at any other layer it is that layer's activation, and
    only what follows the layer runs again. A callable target's value is the score. Memory does not grow with n.

    When: a black box: random masks at the input, thousands of forward passes.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        masks: n, their number.
        cells: of the grid, along each axis.
        probability: p, that a cell is kept, above 0 and at most 1.
        score: "softmax": the target's probability; or "logit".
        key: of `jax.random`; `jax.random.key(0)` by default. Each image gets the same masks.
        chunk: masks that are scored at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        Raw map `(*space)`, in units of the score.

    Raises:
        ValueError: `masks`, `cells` or `chunk` below 1, a probability out of range, an unknown score.

    Source: Petsiuk et al. 2018, "RISE", arXiv 1806.07421 [paper]; masks, defaults and the division by n p as the
    authors' code. xplique has 4000 masks of 7 x 7 cells and p = 0.5 [third party]. At other layers [ours].
    """
    for name, value in (("masks", masks), ("cells", cells)):
        check_count(name, value)
    if not 0 < probability <= 1:
        raise ValueError(f"probability must be a number above 0 and at most 1; got {probability!r}")
    choose("score", score, SCORES)
    output, activation = probe(image)
    read, space = reader(output, target, score), activation.shape[:-1]
    key = jax.random.key(0) if key is None else key
    dtype = widen(activation).dtype

    def one(number: Array) -> Array:
        mask = random_mask(jax.random.fold_in(key, number), space, cells, probability, dtype)
        left = mask[..., None].astype(activation.dtype) * activation
        # the activation found on the way is not used, so what comes before the layer is never run
        return read(probe(image, lambda _: left)[0]).astype(dtype) * mask

    start = vary_as(jnp.zeros(space, dtype), read(output))
    total = sum_over_chunks(one, jnp.arange(masks), chunk, image.shape, start)
    return finite_only(total / (masks * probability), activation)


def random_mask(
    key: Array, space: tuple[int, ...], cells: int, probability: float, dtype: jnp.dtype
) -> Float[Array, "*space"]:
    """One mask: a random grid of cells, enlarged to one cell more than the space takes, and cut out at a random shift.

    It is enlarged as scikit-image does with mode "reflect": half-pixel centres, mirrored about the outermost cells.
    """
    drawn, shifts = jax.random.split(key)
    grid = jax.random.bernoulli(drawn, probability, (cells,) * len(space)).astype(dtype)
    sizes = [math.ceil(side / cells) for side in space]
    kernels = []
    for side, size, shift in zip(space, sizes, jax.random.split(shifts, len(space)), strict=True):
        begin = jax.random.randint(shift, (), 0, size)
        at = (jnp.arange(side) + begin).astype(dtype) + 0.5
        at = at * (cells / ((cells + 1) * size)) - 0.5
        at = jnp.clip((cells - 1) - jnp.abs((cells - 1) - jnp.abs(at)), 0)  # mirrored at both ends
        apart = at[:, None] - jnp.arange(cells, dtype=dtype)[None]
        kernels.append(jnp.maximum(0, 1 - jnp.abs(apart)))
    return along_space(grid, kernels)
