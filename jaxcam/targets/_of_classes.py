"""Targets of logits `(classes,)`, and of embeddings.

Each is a `jax.tree_util.Partial`: a pytree, so its arrays pass through jit and can be mapped over images like any other
argument.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, PyTree

from .._dtypes import ArrayLike
from ._score import Index, Target, logits_of, score, whole_number
from ._several import Ranked


def probability(index: Index) -> Partial:
    """Softmax probability of class `index`, a scalar of logits `(classes,)`.

    HiResCAM's completeness holds for logits, not for this.
    """
    return Partial(_probability, jnp.asarray(index))


def _probability(index: Array, output: Array) -> Array:
    return score(jax.nn.softmax(logits_of(output)), index)


def difference(index: Index, other: Index) -> Partial:
    """Logit of class `index` minus the logit of class `other`, of logits `(classes,)`: why one and not the other."""
    return Partial(_difference, jnp.asarray(index), jnp.asarray(other))


def _difference(index: Array, other: Array, output: Array) -> Array:
    return score(output, index) - score(output, other)


def negative(target: Target) -> Partial:
    """Minus the score of `target`: where something speaks against it. (Grad-CAM's counterfactual explanation.)

    Args:
        target: a class index, None for the most likely class, or a callable `output -> scalar`, such as another target.

    Raises:
        TypeError: a target of another kind. `jaxcam.top` and `jaxcam.above` stand for several classes.

    Source: Selvaraju et al. 2017, "Grad-CAM", section 3.3, arXiv 1610.02391 [paper].
    """
    if isinstance(target, Ranked):
        raise TypeError(f"negative takes one target, and {target} stands for several classes")
    if target is None or isinstance(target, Partial):
        return Partial(_negative, target)
    return Partial(_negative, Partial(target) if callable(target) else whole_number(target))


def _negative(target: Any, output: PyTree) -> Array:
    return -score(output, target)


def finer(index: Index, *, alpha: float | Array = 0.6, others: int = 3) -> Partial:
    """Finer-CAM: `s_c - α / n Σ_(d in D) s_d`, D being the n classes whose logits are nearest to that of class c.

    What tells a class from those that the model confuses it with. Of a model with n classes or fewer, D is all the
    others. The choice of D has no gradient.

    Args:
        index: the class c.
        alpha: weight of the other classes; 0 leaves the logit of c, and 1 is the mean of the differences.
        others: n.

    Raises:
        ValueError: fewer than one other class; when it is called, a model with one class.
        TypeError: `index` is not a whole number.

    Source: Zhang et al. 2025, "Finer-CAM", arXiv 2501.11309 [paper]; the mean over the classes as in TorchCAM
        [third party], where pytorch-grad-cam weighs them by their probabilities.

    Example:
        >>> import jax.numpy as jnp, jaxcam
        >>> float(jaxcam.finer(0, alpha=0.5, others=1)(jnp.array([3.0, 2.0, -5.0])))
        2.0
    """
    if not isinstance(others, int) or isinstance(others, bool) or others < 1:
        raise ValueError(f"others is a number of classes, at least 1; got {others!r}")
    return Partial(_Finer(others), whole_number(index), jnp.asarray(alpha, float))


@dataclasses.dataclass(frozen=True)
class _Finer:
    """Equal to another by its number, so that two targets share a compiled program."""

    others: int

    def __call__(self, index: Array, alpha: Array, output: Array) -> Array:
        logits = logits_of(output)
        if logits.shape[0] < 2:
            raise ValueError("finer compares classes, and the model has one")
        value = score(logits, index)
        apart = jnp.abs(jax.lax.stop_gradient(logits - value))
        apart = jnp.where(jnp.arange(logits.shape[0]) == index, jnp.inf, apart)
        nearest = jax.lax.top_k(-apart, min(self.others, logits.shape[0] - 1))[1]
        return value - alpha.astype(logits.dtype) * jnp.mean(logits[nearest])


def rest(index: Index) -> Partial:
    """Residual softmax target: `s_c + log p_c`, p being the softmax of the logits s.

    Its gradient is `2 - p_c` for class c and `-p_d` for every other class d: the logit, less what speaks for the rest.

    Raises:
        TypeError: `index` is not a whole number.

    Source: Cai 2025, "CAMs as Shapley value-based explainers", arXiv 2501.06261 [paper].
    """
    return Partial(_rest, whole_number(index))


def _rest(index: Array, output: Array) -> Array:
    logits = logits_of(output)
    return score(logits, index) + score(jax.nn.log_softmax(logits), index)


def similarity(embedding: ArrayLike) -> Partial:
    """Cosine similarity of the output vector with `embedding` `(D,)`, for models that embed rather than classify."""
    return Partial(_similarity, jnp.asarray(embedding))


def _similarity(embedding: Array, output: Array) -> Array:
    reference = embedding.astype(output.dtype)
    product = jnp.vdot(output, reference, precision=jax.lax.Precision.HIGHEST)
    return product / (jnp.linalg.norm(output) * jnp.linalg.norm(reference))
