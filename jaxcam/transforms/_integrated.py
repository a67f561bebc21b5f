"""Gradients averaged on a path from a baseline to the input: Integrated Gradients for any gradient method."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._errors import check_count, choose
from .._masks import BASELINES
from .._method import Method
from ..probes._probe import Image, Probe
from ..targets._score import Target
from ._gradients import weighted_sum, with_look
from ._transformed import Transformed, check_method, fixed, name_of, settled


def integrated(
    method: Method,
    *,
    steps: int = 50,
    baseline: float | int | str | Array | np.ndarray = "zero",
    rule: str = "gauss-legendre",
    chunk: int = 1,
) -> Transformed:
    """A method that sees the mean gradient on a path and the change of the activation along it:
    `G = Σ_i w_i ∂s/∂A(x₀ + t_i (x - x₀))`, `ΔA = A(x) - A(x₀)`.

    With `hirescam` at `jaxcam.INPUT` it is Integrated Gradients: `M = Σ_c (x - x₀) ⊙ G`, which adds up to
    `s(x) - s(x₀)`. At a layer it does not add up exactly, because A does not move on a straight line. Where the target
    is None, the class is the most likely one of the input.

    When: gradients vanish where the score is saturated; at the input, attributions that add up.

    Args:
        method: a method of activation and gradient; the result has its signature and its options.
        steps: number of points on the path.
        baseline: x₀: "zero" (the mean colour of a normalised image), "blur", a number, or an array like the input,
            which becomes part of the compiled program.
        rule: "gauss-legendre", "trapezoid" or "midpoint": the points t and their weights w.
        chunk: points computed at once, for each image of a batch.

    Raises:
        ValueError: steps or chunk below 1 (below 2 for the trapezoid rule), an unknown rule or baseline, a method
            that does not ask for gradients.
        TypeError: a method that is not a function.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv 1703.01365 [paper]; the rule
    "gauss-legendre" as captum's default, "trapezoid" as xplique's [third party]; at a layer [ours, after Sattarzadeh
    et al. 2021, "Integrated Grad-CAM", arXiv 2102.07805].
    """
    check_method("integrated", method)
    check_count("steps", steps)
    check_count("chunk", chunk)
    choose("rule", rule, RULES)
    if rule == "trapezoid" and steps < 2:
        raise ValueError("the trapezoid rule needs at least 2 steps; got 1")
    if isinstance(baseline, str):
        choose("baseline", baseline, BASELINES)
    settings = {"steps": steps, "baseline": fixed(baseline), "rule": rule, "chunk": chunk}
    return Transformed(method, _integrated, tuple(settings.items()))


def _integrated(
    method: Method,
    probe: Probe,
    image: Image,
    target: Target,
    *,
    steps: int = 50,
    baseline: float | int | str | Array | np.ndarray = "zero",
    rule: str = "gauss-legendre",
    chunk: int = 1,
) -> Array:
    if len(probe.layers) > 1:
        raise TypeError(
            f"integrated looks at one layer; the probe has {', '.join(probe.layers)}: write "
            f"over_layers(integrated({name_of(method)})), or take one of them, such as probe[{probe.layers[-1]!r}]"
        )
    target = settled(probe, image, target)
    end = jnp.asarray(image)
    start = _start(end, baseline)
    look, origin = probe.look(image, target), probe.look(start, target)

    def gradient(at: Array) -> Array:
        return probe.look(start + at.astype(end.dtype) * (end - start), target).gradient

    points, weights = (np.asarray(each, look.gradient.dtype) for each in RULES[rule](steps))
    mean = weighted_sum(gradient, jnp.asarray(points), weights, chunk, look.gradient)
    along = look._replace(activation=look.activation - origin.activation, gradient=mean)
    return with_look("integrated", method, probe, end, target, along)


def _start(end: Array, baseline: float | int | str | Array | np.ndarray) -> Array:
    if isinstance(baseline, str):
        found = BASELINES[baseline](end)
        return jnp.zeros_like(end) if found is None else found
    if np.shape(baseline) not in ((), end.shape):
        raise ValueError(f"baseline must be a number or an array {end.shape}; got shape {np.shape(baseline)}")
    return jnp.broadcast_to(jnp.asarray(baseline, end.dtype), end.shape)


def _gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2


def _trapezoid(steps: int) -> tuple[np.ndarray, np.ndarray]:
    weights = np.ones(steps)
    weights[[0, -1]] = 0.5
    return np.linspace(0, 1, steps), weights / weights.sum()


def _midpoint(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


RULES = {"gauss-legendre": _gauss_legendre, "trapezoid": _trapezoid, "midpoint": _midpoint}
