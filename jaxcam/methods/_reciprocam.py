"""Recipro-CAM: the score of each position's activation alone, by passes of the head."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import choose
from .._fuse import finite_only
from .._masks import SCORES, outer, reader
from .._method import of_probe
from ..devices._chunks import over_chunks
from ..probes._probe import Image, Probe
from ..targets._score import Target

SPREADS = ("none", "mask", "copy")


@of_probe
def reciprocam(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    spread: str = "none",
    score: str = "softmax",
    chunk: int | None = None,
) -> Float[Array, "*space"]:
    """Recipro-CAM: `M = p_c(h(A ⊙ 1_p))` at every position p, h being what follows the layer. No gradient.

    Nothing before the layer runs again: P positions cost one forward pass and P passes of the head. On a layer of
    tokens the class token and other leading tokens stay as they are. A callable target's value is the score.

    When: no gradient is to be had and passes of the whole model are dear: the head alone runs, once a position.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the class most likely on the whole image, or a callable `output -> scalar`.
        spread: what the head gets beside the position itself. "none": zeros. "mask": its neighbours by a Gaussian g
            of 3 positions along each axis, (1, 2, 1) / 4, `A ⊙ g_p`. "copy": the position's own channels, spread
            over its neighbours, `A_p ⊗ g_p`, as in the authors' code.
        score: "softmax": the target's probability; or "logit".
        chunk: positions that are scored at once; by default what suits the device, as in `jaxcam.explain`.

    Returns:
        Raw map `(*space)`, in units of the score.

    Raises:
        ValueError: unknown spread or score, `chunk` out of range.

    Source: Byun & Lee 2022, "Recipro-CAM", arXiv 2209.14074 [paper]; "none" is the default of the authors' code, and
    "copy" its Gaussian; "mask" [ours, after the paper's Gaussian mask].
    """
    choose("spread", spread, SPREADS)
    choose("score", score, SCORES)
    output, activation = probe(image)
    read, space = reader(output, target, score), activation.shape[:-1]
    axes = [jnp.asarray(_near(side, spread != "none"), activation.dtype) for side in space]
    flat = activation.reshape(-1, activation.shape[-1])

    def alone(position: Array) -> Array:
        places = jnp.unravel_index(position, space)
        window = outer([each[place] for each, place in zip(axes, places, strict=True)])[..., None]
        own = jnp.expand_dims(flat[position], tuple(range(len(space))))
        left = jnp.where(window > 0, window * (own if spread == "copy" else activation), 0)
        # the activation found on the way is not used, so what comes before the layer is never run
        return read(probe(image, lambda _: left)[0])

    scores = over_chunks(alone, jnp.arange(len(flat)), chunk, image.shape)
    return finite_only(scores.reshape(space), activation)


def _near(side: int, blurred: bool) -> np.ndarray:
    """Along one axis, what is kept of each position, for every position that is looked at: `(side, side)`."""
    apart = np.abs(np.arange(side)[:, None] - np.arange(side))
    return np.maximum(0, (2 - apart) / 4) if blurred else np.equal(apart, 0).astype(float)
