"""KPCA-CAM: the first component of a kernel principal component analysis of the positions."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dtypes import dot, widen
from .._fuse import finite_only, top_eigenpair
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target


@of_probe
def kpcacam(
    probe: Probe, image: Image, target: Target = None, *, gamma: float | None = None
) -> Float[Array, "*space"]:
    """KPCA-CAM: `M = √λ v`, the largest eigenvalue and its eigenvector of the centred kernel
    `S_ij = tanh(γ x_i·x_j + 1)`, x_i being the channels at position i less their mean over positions. No class, no
    gradient.

    P positions have a kernel of P × P numbers, and its eigenvector takes products of such matrices: for layers of at
    most a few thousand positions.

    When: as Eigen-CAM, where the directions between which channels vary are not straight lines.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: not used: the map is the same for every class.
        gamma: γ; by default 1 over the number of channels.

    Returns:
        Raw signed map `(*space)`, of mean 0, all 0 where no eigenvalue is above 0. It rises with the sum over
        channels, as of `jaxcam.principal_component`; the peer's sign is LAPACK's.

    Raises:
        ValueError: a γ that is not above 0.

    Source: Karmani et al. 2024, "KPCA-CAM", arXiv 2410.00267; kernel and constants as pytorch-grad-cam's KPCA_CAM
    [third party]; sign, and how the eigenvector is found [ours].
    """
    if gamma is not None and not 0 < gamma < math.inf:
        raise ValueError(f"gamma must be a number above 0; got {gamma!r}")
    activation = probe(image)[1]
    *space, K = activation.shape
    X = widen(activation).reshape(-1, K)
    X = X - jnp.mean(X, axis=0, keepdims=True)
    kernel = jnp.tanh((1 / K if gamma is None else gamma) * dot(X, X.T) + 1)
    rounding = 16 * jnp.finfo(kernel.dtype).eps * _size(kernel)
    kernel = _centred(kernel)

    # A kernel of tanh has negative eigenvalues too: all are raised above 0 by what bounds them, and lowered again.
    lift = _size(kernel)
    value, vector = top_eigenpair(kernel + lift * jnp.eye(len(kernel), dtype=kernel.dtype))
    value = value - lift
    above = value > rounding
    projection = vector * jnp.where(above, jnp.sqrt(jnp.where(above, value, 1)), 0)
    agreement = dot(projection, jnp.sum(X, axis=1))
    sign = jnp.where(agreement < 0, -1, 1).astype(projection.dtype)
    return finite_only((sign * projection).reshape(space), activation)


def _centred(kernel: Array) -> Array:
    """The kernel of the same samples less their mean in the kernel's space."""
    rows = jnp.mean(kernel, axis=0, keepdims=True)
    return kernel - rows - rows.T + jnp.mean(kernel)


def _size(kernel: Array) -> Array:
    """What no eigenvalue exceeds in magnitude."""
    return jnp.sqrt(jax.lax.stop_gradient(jnp.sum(kernel * kernel)))
