"""`probe` makes a probe of a model of any library, or of two functions."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from flax import linen, nnx
from jaxtyping import PyTree

from ._anatomy import Split
from ._equinox import EquinoxFunction, equinox_parts, has_layers, is_equinox, unknown_layer
from ._functions import as_pytree
from ._keras import is_keras, keras_parts
from ._layers import labels_of
from ._linen import Linen, linen_layer
from ._mistakes import check_model, not_a_model
from ._modes import check_call
from ._nnx import Submodule, static_and_arrays
from ._paths import resolve
from ._probe import Probe
from ._tap import Tapped, tap_layer
from ._walk import Inputs


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
