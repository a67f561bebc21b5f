"""Probe: look at, and edit, layers of any JAX model."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._dtypes import widen
from ..targets import _score
from ._anatomy import Anatomy
from ._layers import Layer, no_such
from ._marks import vary, varying
from ._mistakes import channels_first, check_array, one_position, taken_for
from ._tokens import as_map
from ._walk import Inputs, Walk, onward

Edit = Callable[[Array], Array]
Image = Float[Array | np.ndarray, "*image C"]
NO_INPUTS: Inputs = ((), {})


class Look(NamedTuple):
    """Output, score, activation and gradient of one layer, or of several, for one image.

    Attributes:
        output: what the probe reads of the model's output, usually logits `(classes,)`.
        score: the scalar that the target reads from the output.
        activation: the layer's activation `(h, w, K)`, at least float32; of several layers, a dictionary by layer.
        gradient: d score / d activation `(h, w, K)`, at least float32; of several layers, a dictionary by layer.
    """

    output: PyTree
    score: Array
    activation: Any
    gradient: Any

    def power(self, exponent: int) -> Any:
        """A power of the gradient; where the gradient is a mean over several inputs, the mean of its powers."""
        return jax.tree.map(lambda gradient: gradient**exponent, self.gradient)


@jax.tree_util.register_pytree_node_class
class Probe:
    """One layer of one model, or several, made by `jaxcam.probe`.

    A pytree whose leaves are the model's parameters and further inputs: it passes through jit, vmap
    (`in_axes=None`), grad and jax.export as an argument, and weights never become constants of a compiled program. The
    static part compares by value, so a second probe of the same architecture and layer reuses what was compiled for
    the first.
    """

    def __init__(
        self,
        parameters: PyTree,
        anatomy: Anatomy,
        inputs: Inputs = NO_INPUTS,
        read: Callable[[PyTree], PyTree] | None = None,
    ):
        self.parameters = parameters
        self.anatomy = anatomy
        self.inputs = inputs
        self.read = read

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the probe's layers, in the order in which they were given."""
        return tuple(layer.label for layer in self.anatomy.layers)

    def __getitem__(self, layer: str) -> "Probe":
        """The probe of one of its layers; KeyError if it has no such layer."""
        if layer not in self.layers:
            raise KeyError(no_such(layer, self.layers))
        if len(self.layers) == 1:
            return self
        (chosen,) = (each for each in self.anatomy.layers if each.label == layer)
        return Probe(self.parameters, self.anatomy.only(chosen), self.inputs, self.read)

    def __call__(self, image: Image, edit: Edit | Mapping[str, Edit] | None = None) -> tuple[PyTree, Any]:
        """Runs the model on one image.

        Args:
            image: `(H, W, C)`, preprocessed as the model wants it; a signal is `(L, C)`, a volume `(D, H, W, C)`.
            edit: a function of the layer's activation `(h, w, K)` that returns what the rest of the model gets; of
                several layers, a dictionary of such functions by layer, for all of them or for some.

        Returns:
            The output for that image, without the batch axis, and the activation `(h, w, K)` before its edit; of
            several layers, a dictionary of activations by layer. An edit reaches the layers that follow.

        Raises:
            TypeError: an image that is not of floating point.
            ValueError: an image of another number of axes, a layer that is called twice or never, an activation
                that is neither a map nor a grid of tokens or that has one position only, an edit that changes the
                shape, a model that runs in training mode.
        """
        return self._run(image, self._edits(edit), frozenset())

    def _run(self, image: Image, edits: Mapping[str, Edit], axes: frozenset[str]):
        walk, layer, raw = self._start(image, axes)
        activations = {}
        while True:
            seen, restore = self._map(image, layer, raw)
            activations[layer.label] = seen[0]
            if layer.label in edits:
                changed = restore(_edited(seen[0], edits[layer.label])[None])
                if more := varying(changed) - varying(raw):  # the types of all that follows are others
                    return self._run(image, edits, axes | more)
                raw = changed
            layer, raw = onward(walk.steps, raw)
            if layer is None:
                return self._output(raw), self._by_layer(activations)

    def look(self, image: Image, target: _score.Target = None) -> Look:
        """Output, score, activation and gradient of each layer for one image, for the cost of the forward pass
        and the backward pass of what follows the first of the layers.

        Nothing before that layer is differentiated. Inside `jax.shard_map` the gradient is each device's own.

        Args:
            image: `(H, W, C)`.
            target: a class index, None for the most likely class, or a callable `output -> scalar`.
        """
        return self._look(image, target, frozenset())

    def _look(self, image: Image, target: _score.Target, axes: frozenset[str]) -> Look:
        walk, first, activation = self._start(image, axes)
        # The first layer's activation is differentiated; to those of the others a zero is added.
        zeros = {label: zeros_of(walk.types[label]) for label in self.layers if label != first.label}

        def score(activation: Array, zeros: dict[str, Array]):
            seen = {first.label: activation}
            while True:
                layer, found = onward(walk.steps, activation)
                if layer is None:
                    output = self._output(found)
                    return _score.score(output, target), (output, seen)
                seen[layer.label], activation = found, found + zeros[layer.label]

        value, pull, (output, seen) = jax.vjp(score, activation, zeros, has_aux=True)
        if missing := varying(value) - varying(activation):
            # The activation is the same on devices that score it differently: their gradients would be summed.
            return self._look(image, target, axes | missing)
        gradient, others = pull(jnp.ones_like(value))
        gradients = {first.label: gradient, **others}
        layers = {layer.label: layer for layer in self.anatomy.layers}

        def maps(found: Mapping[str, Array]):
            return self._by_layer(
                {label: widen(self._map(image, layers[label], each)[0][0]) for label, each in found.items()}
            )

        return Look(output, value, maps(seen), maps(gradients))

    def _start(self, image: Image, axes: frozenset[str]) -> tuple[Walk, Layer, Array]:
        """The model under way on one image, its first layer, and that layer's activation as the model has it."""
        check_image(image)
        try:
            walk = self.anatomy.walk(self.parameters, self.inputs, jnp.asarray(image)[None], axes)
            layer, activation = next(walk.steps)
            self._map(image, layer, activation)
        except Exception as error:
            if advice := channels_first(image):
                raise ValueError(f"{advice}. The model said: {error}") from error
            if note := taken_for(image):
                error.add_note(note)
            raise
        return walk, layer, activation

    def _map(self, image: Image, layer: Layer, activation: Array) -> tuple[Array, Callable[[Array], Array]]:
        """An activation as a map `(1, h, w, K)`, and the function that puts such a map in its place."""
        seen, restore = as_map(activation, image.shape[:-1], self.anatomy.tokens, layer.who)
        if all(side == 1 for side in seen.shape[1:-1]):
            raise ValueError(one_position(layer.who, image, getattr(self.anatomy, "default", None)))
        return seen, restore

    def _output(self, output: PyTree) -> PyTree:
        """What is read of the model's output for a batch of one image."""
        output = jax.tree.map(_of_one, output)
        return output if self.read is None else self.read(output)

    def _edits(self, edit: Edit | Mapping[str, Edit] | None) -> Mapping[str, Edit]:
        if edit is None:
            return {}
        first, *others = self.layers
        if not isinstance(edit, Mapping):
            if others:
                raise TypeError(
                    f"the probe has {1 + len(others)} layers: pass a dictionary of edits by layer, such as "
                    f"{{{first!r}: function}}"
                )
            return {first: edit}
        for label in edit:
            if label not in self.layers:
                raise ValueError(no_such(label, self.layers))
        return edit

    def _by_layer(self, found: dict[str, Array]) -> Any:
        ordered = {label: found[label] for label in self.layers}
        return ordered if len(ordered) > 1 else next(iter(ordered.values()))

    def tree_flatten(self) -> tuple[tuple, Any]:
        return (self.parameters, self.inputs, self.read), self.anatomy

    @classmethod
    def tree_unflatten(cls, anatomy, children):
        parameters, inputs, read = children
        return cls(parameters, anatomy, inputs, read)

    def __repr__(self) -> str:
        return f"Probe({self.anatomy})"


def _of_one(leaf: PyTree) -> PyTree:
    """A leaf of the output for a batch of one image, without the batch axis; others, such as a scale, as they are."""
    return leaf[0] if getattr(leaf, "ndim", 0) and leaf.shape[0] == 1 else leaf


def zeros_of(kind: Any) -> Array:
    """Zeros of a type, sharded as it says, that vary along the axes of a mesh along which it varies."""
    return vary(jnp.zeros(kind.shape, kind.dtype), kind.manual_axis_type.varying)


def check_image(image: Array | np.ndarray) -> None:
    check_array(image)
    if image.ndim not in (2, 3, 4):
        raise ValueError(
            f"a probe takes one image (H, W, C), one signal (L, C) or one volume (D, H, W, C); got shape "
            f"{image.shape}. Map over a batch with jax.vmap, or call jaxcam.explain."
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(
            f"an image must be of floating point, preprocessed for the model; got dtype {image.dtype}"
        )


def _edited(activation: Array, edit: Edit) -> Array:
    changed = edit(activation)
    if changed.shape != activation.shape:
        raise ValueError(f"an edit must keep the activation's shape {activation.shape}; got {changed.shape}")
    return changed.astype(activation.dtype)
