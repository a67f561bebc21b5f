"""Guided backpropagation: a probe whose model's ReLUs have another derivative."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, PyTree

from ._anatomy import Split
from ._layers import Layer
from ._probe import Probe
from ._relus import Relus
from ._walk import Inputs, Marked, Walk, walk


def guided(probe: Probe) -> Probe:
    """The probe, with guided backpropagation's derivative of every ReLU that follows its first layer:
    `∂s/∂x = g · 1[g > 0] · 1[x > 0]`, where `g` is the gradient that reaches the ReLU's output.

    The ReLUs are found in the program that the model runs, whatever library it is written in; the model is not changed,
    and its outputs and activations are the same. As ReLUs count `jax.nn.relu`, `jax.nn.relu6`, `max(x, 0)`,
    `clip(x, 0, b)` and `where(x > 0, x, 0)`, also where a bound is put on them: ReLU6's derivative is
    `g · 1[g > 0] · 1[0 < x < 6]`. (captum and pytorch-grad-cam look for modules of the type `torch.nn.ReLU`, so they
    leave ReLU6 and ReLUs that are called as functions as they are.) Leaky ReLU, GELU, SiLU, hard swish and hard sigmoid
    keep their derivative, and so does a function with a derivative of its own that is more than a ReLU.

    Args:
        probe: of one layer or of several, from `jaxcam.probe`.

    Raises:
        TypeError: something that is not a probe, or a probe of an exported explainer, which has no gradient.
        ValueError: a model without any ReLU, or with one in a branch; found when the model first runs.

    Source: Springenberg et al. 2015, "Striving for Simplicity", arXiv 1412.6806 [paper]; for ReLU6 [ours].

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), jaxcam.INPUT)
        >>> image = jax.random.normal(jax.random.key(0), (32, 32, 3))
        >>> jaxcam.guided(probe).look(image, 3).gradient.shape
        (32, 32, 3)
    """
    if not isinstance(probe, Probe):
        raise TypeError(f"guided takes a probe, from jaxcam.probe; got {type(probe).__name__}")
    anatomy = probe.anatomy
    if isinstance(anatomy, Guided | GuidedSplit):
        return probe
    if isinstance(anatomy, Split):
        anatomy = GuidedSplit(anatomy.tokens)
    elif isinstance(anatomy, Marked):
        anatomy = Guided(anatomy)
    else:
        raise TypeError(f"guided takes a probe of a model with gradients; got {probe}")
    return Probe(probe.parameters, anatomy, probe.inputs, probe.read)


@dataclasses.dataclass(frozen=True)
class Guided:
    """A model with guided backpropagation's derivatives; `model` is the model with its own."""

    model: Any

    def __repr__(self) -> str:
        return repr(self.model)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.model.layers

    @property
    def tokens(self) -> int | None:
        return self.model.tokens

    def only(self, layer: Layer) -> "Guided":
        return Guided(self.model.only(layer))

    def program(self, parameters: PyTree, inputs: Inputs, images: Array) -> tuple[PyTree, dict[str, Array]]:
        relus = Relus(_positive)
        found = relus.of(self.model.program)(parameters, inputs, images)
        relus.check()
        return found

    def check(self, program: Any, parameters: PyTree, after: dict[str, Any]) -> None:
        self.model.check(program, parameters, after)

    def missing(self, parameters: PyTree, layer: Layer, names: list) -> str:
        return self.model.missing(parameters, layer, names)

    def walk(self, parameters: PyTree, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)


@dataclasses.dataclass(frozen=True)
class GuidedSplit(Split):
    """Two functions with guided backpropagation's derivatives. ReLUs in the first are counted only."""

    def __repr__(self) -> str:
        return "features"

    def walk(
        self, parameters: tuple[Callable, Callable], inputs: Inputs, images: Array, axes: frozenset[str]
    ) -> Walk:
        relus = Relus(_positive)
        features, head = map(relus.of, parameters)

        def checked(activation: Array) -> PyTree:
            output = head(activation)
            relus.check()
            return output

        return super().walk((features, checked), inputs, images, axes)


@jax.custom_vjp
def _positive(x: Array) -> Array:
    """The array itself; of the gradient that reaches it, only what is positive goes on."""
    return x


_positive.defvjp(lambda x: (x, None), lambda _, gradient: (jax.nn.relu(gradient),))
