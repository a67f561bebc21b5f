"""FEM, the feature explanation method: channels count where they are far above their mean."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import widen
from .._errors import choose
from .._fuse import Fuse, channel_sum, finite_only, positions
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target

WEIGHTS = ("share", "mean")


@of_probe
def fem(
    probe: Probe,
    image: Image,
    target: Target = None,
    *,
    deviations: float | int = 2,
    weights: str = "share",
    fuse: Fuse = channel_sum,
) -> Float[Array, "*space"]:
    """FEM: `w_k`, the share of positions where `A_k > mean A_k + 2 std A_k`; `M = Σ_k w_k A_k`. No class, no gradient.

    When: there is no class to ask for, and positions that stand out of each channel matter.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: not used: the map is the same for every class.
        deviations: number of standard deviations above the mean.
        weights: "share", as above; or "mean", the channel's mean at the positions that are that far above or at it:
            `M = Σ_k (mean A_k) [A_k ≥ mean A_k + 2 std A_k]`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the activation.

    Raises:
        ValueError: unknown weights.

    Source: Fuad et al. 2020, "Features understanding in 3D CNNs for actions recognition in video", IPTA; "share" as
    pytorch-grad-cam's FEM, "mean" as xplique's [third party].
    """
    choose("weights", weights, WEIGHTS)
    activation = probe(image)[1]
    A = widen(activation)
    mean = jnp.mean(A, axis=positions(A), keepdims=True)
    bound = mean + deviations * jnp.std(A, axis=positions(A), keepdims=True)
    if weights == "mean":
        return finite_only(fuse(jnp.where(bound <= A, mean, 0)), activation)
    share = jnp.mean((bound < A).astype(A.dtype), axis=positions(A), keepdims=True)
    return finite_only(fuse(share * A), activation)
