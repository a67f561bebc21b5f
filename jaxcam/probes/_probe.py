"""Probe: look at, and edit, layers of any JAX model."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jaxtyping import Array, Float, PyTree

from .._dtypes import widen
from ..targets import _score
from ._anatomy import Anatomy, Split
from ._equinox import EquinoxFunction, equinox_parts, has_layers, is_equinox, unknown_layer
from ._functions import as_pytree
from ._keras import is_keras, keras_parts
from ._layers import Layer, labels_of, no_such
from ._linen import Linen, linen_layer
from ._marks import varying
from ._mistakes import channels_first, check_array, check_model, not_a_model, one_position, taken_for
from ._modes import check_call
from ._nnx import Submodule, static_and_arrays
from ._paths import resolve
from ._tap import Tapped, tap_layer
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


def probe(
    model: nnx.Module | linen.Module | Callable | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    variables: PyTree = None,
    call: Mapping[str, Hashable] | None = None,
    method: str = "__call__",
    read: Callable[[PyTree], PyTree] | None = None,
    inputs: Sequence[PyTree] | Mapping[str, PyTree] = (),
    split: tuple[Callable, Callable] | None = None,
    tokens: int | None = None,
) -> Probe:
    """A probe of one layer of a model, or of several.

    It is a snapshot: it holds the parameters as they are now. After training, make a new one; nothing is compiled anew.

    Args:
        model: any `flax.nnx.Module` that takes a batch `(B, H, W, C)`. It is viewed in evaluation mode (running
            batch statistics, no dropout) and never changed; where its call says the mode, `call` says it. Or a
            `flax.linen.Module`, with `variables`. Or a `keras.Model` on the JAX backend. Or an `equinox.Module` that
            takes one image `(C, H, W)`: it is put into inference mode and mapped over the batch, with the channels
            moved. Or a function of a batch in which `jaxcam.tap` marks the layer:
            `(images)`, or `(variables, images)` with `variables`.
        layer: dotted path of a submodule whose output has two spatial axes and channels last: `"layer4"`,
            `"layer3.5.conv2"`, `"features.12"`, `"layer4[-1]"` (the last of a list). Or one whose output is tokens
            `(1, tokens, K)`, square patches row by row: they become a map `(h, w, K)` of the image's proportions, also
            for edits. Of a Keras model, the name of the layer, or the end of its path where layers share a name:
            `"conv5_block3_out"`, `"block_2/conv"`. Of a function, the name of the tap. Also:

            - a tuple of such names: activations and gradients of all of them come from one forward and one backward
              pass, and `probe["layer3"]` is the probe of one.
            - `jaxcam.INPUT`: the model's input.
            - `"block[1]"`: the second call of a module that is called more than once; `"encoder.layers[3]"`: the fourth
              slice of a stack that `nnx.scan`, `nn.scan` or `jax.lax.scan` runs.
            - `"block:0"`: a leaf of what the layer returns, where that is a tuple or a dictionary. By default the one
              leaf that is a map.
        variables: of a Linen module, `{"params": ..., "batch_stats": ...}`; of an Equinox module with batch norms, its
            `eqx.nn.State`; or the first argument of a function, any pytree of arrays. They are arguments of what is
            compiled; what a function holds by itself is part of it.
        call: options that the model is called with, such as `{"train": False}`: values that can be hashed, or NNX
            objects such as `nnx.Rngs(0)`.
        method: name of the method of the module that is run, such as `"encode_image"`.
        read: a function of the model's output for one image that returns a vector of logits, where the output is a
            tuple, a dictionary or the like: the probe's output is what it returns, for targets, metrics and data
            sets.
        inputs: what the model takes beside images: arrays, or pytrees of them, by position in a tuple or by keyword
            in a dictionary. They are leaves of the probe, the same for all images, with the axes that the model wants
            of them beside a batch of one image.
        split: instead of a model and a layer, two functions of a batch: `features: images -> activation (1, h, w, K)`,
            or tokens, and `head: activation -> output`. A function that is a pytree (an `nnx.Module`, a
            `jax.tree_util.Partial`) keeps its arrays as arguments; a plain function is static.
        tokens: number of leading non-spatial tokens (class token, registers). They are not part of the map, and an
            edit does not change them. By default the model's attribute `leading_tokens`, which `models.build` sets
            (of an Equinox module also `num_prefix_tokens`); without it 0 or 1, whichever leaves a grid. Ignored for a
            layer that returns a map.

    Raises:
        TypeError: neither or both ways of naming a layer; a model of another kind; a Linen module without variables,
            or an NNX module with them; an option of the call that cannot be hashed; inputs that are not a tuple or a
            dictionary; `read` that is not a function.
        ValueError: a path that does not exist (the nearest that does is named), or one that is not callable; a method
            that the model does not have; a number of tokens below 0. What a Linen module or a function lacks, a call
            or a leaf that a layer does not have, and a batch norm or a dropout that runs in training mode, is found
            when the model first runs.

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> probe.look(jax.numpy.zeros((32, 32, 3)), 3).gradient.shape
        (8, 8, 64)
    """
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0):
        raise ValueError(f"tokens must be a whole number of at least 0; got {tokens!r}")
    reader = None if read is None else _reader(read)
    # Two functions with the layer between them.
    if split is not None:
        if model is not None or layer is not None:
            raise TypeError("pass a model and a layer, or split=(features, head), not both")
        for name, value in (("variables", variables), ("call", call), ("inputs", inputs or None)):
            if value is not None:
                raise TypeError(f"{name}= is for a model, not for split=")
        features, head = split
        return Probe((as_pytree(features), as_pytree(head)), Split(tokens), read=reader)
    # Check the model, the layers and the options of the call.
    if model is None or layer is None:
        raise TypeError("a probe takes a model and the path of a layer, or split=(features, head)")
    check_model(model)
    if isinstance(model, nnx.Module) and isinstance(layer, nnx.Module):
        resolve(model, layer)  # says its path
    labels = labels_of(layer)
    alone = len(labels) == 1
    tokens = getattr(model, "leading_tokens", None) if tokens is None else tokens
    options = tuple(sorted((call or {}).items()))
    _check_static(model, options)
    further = _further(inputs)
    # The probe of each kind of model.
    if is_keras(model):
        if variables is not None:
            raise TypeError(
                "variables= is for a Linen module or a function: a Keras model holds its variables"
            )
        return Probe(*keras_parts(model, labels, options, method, tokens), further, reader)
    if isinstance(model, nnx.Module):
        if variables is not None:
            raise TypeError("variables= is for a Linen module or a function, not for an NNX module")
        check_call(model, dict(options), further, method)
        module, parameters = static_and_arrays(model, options, method)
        default = getattr(model, "default_layer", None)
        layers = tuple(resolve(model, label, alone=alone) for label in labels)
        return Probe(parameters, Submodule(module, layers, tokens, default), further, reader)
    if isinstance(model, linen.Module):
        if variables is None:
            raise TypeError("a Linen module holds no parameters: pass variables=, what model.init returned")
        check_call(model, dict(options), further, method)
        layers = tuple(linen_layer(label, alone=alone) for label in labels)
        return Probe(variables, Linen(model, layers, options, tokens, method), further, reader)
    if is_equinox(model) and has_layers(model, labels):
        return Probe(
            *equinox_parts(model, labels, variables, options, further, method, tokens), further, reader
        )
    if not callable(model):
        raise TypeError(not_a_model(model))
    if method != "__call__":
        raise TypeError("method= is for a module; pass a function as it is")
    given = () if variables is None else (variables,)
    anatomy = Tapped(tuple(tap_layer(label) for label in labels), options, tokens)
    if is_equinox(model):
        anatomy = EquinoxFunction(anatomy.layers, options, tokens, unknown_layer(model, labels))
    return Probe((as_pytree(model), *given), anatomy, further, reader)


def _check_static(model: object, options: tuple[tuple[str, Any], ...]) -> None:
    for name, value in options:
        if isinstance(value, nnx.Pytree):
            if not isinstance(model, nnx.Module):
                raise TypeError(f"call={{{name!r}: ...}} is an NNX object, which only an NNX module takes")
            continue
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"call={{{name!r}: ...}} is a {type(value).__name__}, which cannot be compared by value: pass it in "
                f"inputs={{{name!r}: ...}}"
            ) from None


def _further(inputs: Sequence[PyTree] | Mapping[str, PyTree]) -> Inputs:
    """A model's further arguments, by position and by keyword."""
    if isinstance(inputs, Mapping):
        return (), {str(name): value for name, value in inputs.items()}
    if not isinstance(inputs, list | tuple):
        raise TypeError(
            f"inputs must be a tuple of the model's further arguments, or a dictionary of them by keyword; got "
            f"{type(inputs).__name__}. For one array, write inputs=(array,)"
        )
    return tuple(inputs), {}


def _reader(read: Callable) -> Callable:
    if not callable(read):
        raise TypeError(
            f"read must be a function of the model's output; got {read!r}. Write, for example, "
            "read=lambda output: output['logits']"
        )
    return as_pytree(read)


def _of_one(leaf: PyTree) -> PyTree:
    """A leaf of the output for a batch of one image, without the batch axis; others, such as a scale, as they are."""
    return leaf[0] if getattr(leaf, "ndim", 0) and leaf.shape[0] == 1 else leaf


def zeros_of(kind: Any) -> Array:
    """Zeros of a type, sharded as it says, that vary along the axes of a mesh along which it varies."""
    zeros = jnp.zeros(kind.shape, kind.dtype)
    axes = tuple(sorted(kind.manual_axis_type.varying - varying(zeros)))
    return jax.lax.pcast(zeros, axes, to="varying") if axes else zeros


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
