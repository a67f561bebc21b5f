"""Probe: look at, and edit, one layer of any JAX model."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jaxtyping import Array, Float, PyTree

from .._dtypes import widen
from ..targets import _score
from ._anatomy import Anatomy, Split
from ._functions import as_pytree
from ._linen import Linen, path_of
from ._marks import Rest, varying
from ._mistakes import channels_first, check_array, check_layer, check_model, one_position
from ._modes import check_call
from ._nnx import Submodule, resolve, static_and_arrays
from ._tap import Tapped

Edit = Callable[[Array], Array]
Image = Float[Array | np.ndarray, "H W C"]


class Look(NamedTuple):
    """Output, score, activation and gradient of one layer, for one image.

    Attributes:
        output: the model's output, usually logits `(classes,)`.
        score: the scalar that the target reads from the output.
        activation: the layer's activation `(h, w, K)`, at least float32.
        gradient: d score / d activation `(h, w, K)`, at least float32.
    """

    output: PyTree
    score: Array
    activation: Array
    gradient: Array


@jax.tree_util.register_pytree_node_class
class Probe:
    """One layer of one model, made by `jaxcam.probe`.

    A pytree whose leaves are the model's parameters: it passes through jit, vmap (`in_axes=None`), grad and
    jax.export as an argument, and weights never become constants of a compiled program. The static part compares
    by value, so a second probe of the same architecture and layer reuses what was compiled for the first.
    """

    def __init__(self, parameters: PyTree, anatomy: Anatomy):
        self.parameters = parameters
        self.anatomy = anatomy

    def __call__(self, image: Image, edit: Edit | None = None) -> tuple[PyTree, Array]:
        """Runs the model on one image.

        Args:
            image: `(H, W, C)`, preprocessed as the model wants it.
            edit: a function of the layer's activation `(h, w, K)` that returns what the rest of the model gets.

        Returns:
            The output for that image, without the batch axis, and the activation `(h, w, K)` before the edit.

        Raises:
            TypeError: an image that is not of floating point.
            ValueError: an image that is not `(H, W, C)`, a layer that is called twice or never, an activation
                that is neither a map nor a grid of tokens or that has one position only, an edit that changes the
                shape, a model that runs in training mode.
        """
        check_image(image)
        activation, rest = self._split_at(image)
        return rest(activation if edit is None else _edited(activation, edit)), activation

    def look(self, image: Image, target: _score.Target = None) -> Look:
        """Output, score, activation and gradient of the layer for one image, for the cost of the forward pass
        and the backward pass of what follows the layer.

        Nothing before the layer is differentiated. Inside `jax.shard_map` the gradient is each device's own.

        Args:
            image: `(H, W, C)`.
            target: a class index, None for the most likely class, or a callable `output -> scalar`.
        """
        activation, rest = self._split_at(image)

        def score(activation):
            output = rest(activation)
            return _score.score(output, target), output

        value, pull, output = jax.vjp(score, activation, has_aux=True)
        if missing := varying(value) - varying(activation):
            # The activation is the same on devices that score it differently: their gradients would be summed.
            activation = jax.lax.pcast(activation, tuple(missing), to="varying")
            value, pull, output = jax.vjp(score, activation, has_aux=True)
        (gradient,) = pull(jnp.ones_like(value))
        return Look(output, value, widen(activation), widen(gradient))

    def _split_at(self, image: Image) -> tuple[Array, Rest]:
        """The activation `(h, w, K)` of one image, and the function of one that returns the output for that image."""
        check_image(image)
        try:
            activation, rest = self.anatomy.split_at(self.parameters, jnp.asarray(image)[None])
        except Exception as error:
            if advice := channels_first(image):
                raise ValueError(f"{advice}. The model said: {error}") from error
            raise
        if activation.shape[1:3] == (1, 1):
            raise ValueError(one_position(self.anatomy.who, image, getattr(self.anatomy, "default", None)))
        return activation[0], lambda changed: jax.tree.map(lambda leaf: leaf[0], rest(changed[None]))

    def tree_flatten(self):
        return (self.parameters,), self.anatomy

    @classmethod
    def tree_unflatten(cls, anatomy, children):
        return cls(children[0], anatomy)

    def __repr__(self) -> str:
        return f"Probe({self.anatomy})"


def probe(
    model: nnx.Module | linen.Module | Callable | None = None,
    layer: str | None = None,
    *,
    variables: PyTree = None,
    call: Mapping[str, Hashable] | None = None,
    split: tuple[Callable, Callable] | None = None,
    tokens: int | None = None,
) -> Probe:
    """A probe of one layer of a model.

    It is a snapshot: it holds the parameters as they are now. After training, make a new one; nothing is compiled anew.

    Args:
        model: any `flax.nnx.Module` that takes a batch `(B, H, W, C)`. It is viewed in evaluation mode (running
            batch statistics, no dropout) and never changed; where its call says the mode, `call` says it. Or a
            `flax.linen.Module`, with `variables`. Or a function of a batch in which `jaxcam.tap` marks the layer:
            `(images)`, or `(variables, images)` with `variables`.
        layer: dotted path of a submodule whose output has two spatial axes and channels last: `"layer4"`,
            `"layer3.5.conv2"`, `"features.12"`, `"layer4[-1]"` (the last of a list). Or one whose output is tokens
            `(1, tokens, K)`, square patches row by row: they become a map `(h, w, K)` of the image's proportions, also
            for edits. Of a function, the name of the tap.
        variables: of a Linen module, `{"params": ..., "batch_stats": ...}`; or the first argument of a function, any
            pytree of arrays. They are arguments of what is compiled; what a function holds by itself is part of it.
        call: options that the model is called with, such as `{"train": False}`: values that can be hashed.
        split: instead of a model and a layer, two functions of a batch: `features: images -> activation (1, h, w, K)`,
            or tokens, and `head: activation -> output`. A function that is a pytree (an `nnx.Module`, a
            `jax.tree_util.Partial`) keeps its arrays as arguments; a plain function is static.
        tokens: number of leading non-spatial tokens (class token, registers). They are not part of the map, and an
            edit does not change them. By default the model's attribute `leading_tokens`, which `models.build` sets;
            without it 0 or 1, whichever leaves a grid. Ignored for a layer that returns a map.

    Raises:
        TypeError: neither or both ways of naming a layer; a model of another kind; a Linen module without variables,
            or an NNX module with them; an option of the call that cannot be hashed.
        ValueError: a path that does not exist (the nearest that does is named), or one that is not callable; a
            number of tokens below 0. What a Linen module or a function lacks, and a batch norm or a dropout that runs
            in training mode, is found when the model first runs.

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> probe.look(jax.numpy.zeros((32, 32, 3)), 3).gradient.shape
        (8, 8, 64)
    """
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0):
        raise ValueError(f"tokens must be a whole number of at least 0; got {tokens!r}")
    # Two functions with the layer between them.
    if split is not None:
        if model is not None or layer is not None:
            raise TypeError("pass a model and a layer, or split=(features, head), not both")
        for name, value in (("variables", variables), ("call", call)):
            if value is not None:
                raise TypeError(f"{name}= is for a model, not for split=")
        features, head = split
        return Probe((as_pytree(features), as_pytree(head)), Split(tokens))
    # Check the model, the layer and the options of the call.
    if model is None or layer is None:
        raise TypeError("a probe takes a model and the path of a layer, or split=(features, head)")
    if isinstance(model, type) and issubclass(model, nnx.Module | linen.Module):
        raise TypeError(f"the model must be an instance; got the class {model.__name__}: build it first")
    check_model(model)
    if not (isinstance(model, nnx.Module) and isinstance(layer, nnx.Module)):  # that one is told its path
        check_layer(layer)
    tokens = getattr(model, "leading_tokens", None) if tokens is None else tokens
    options = tuple(sorted((call or {}).items()))
    _check_static(model, options)
    # The probe of each kind of model.
    if isinstance(model, nnx.Module):
        if variables is not None:
            raise TypeError("variables= is for a Linen module or a function, not for an NNX module")
        check_call(model, dict(options))
        module, parameters = static_and_arrays(model, options)
        default = getattr(model, "default_layer", None)
        return Probe(parameters, Submodule(module, resolve(model, layer), tokens, default))
    if isinstance(model, linen.Module):
        if variables is None:
            raise TypeError("a Linen module holds no parameters: pass variables=, what model.init returned")
        check_call(model, dict(options))
        return Probe(variables, Linen(model, path_of(layer), options, tokens))
    if not callable(model):
        raise TypeError(
            f"the model must be a flax.nnx.Module, a flax.linen.Module or a function; got {type(model).__name__}"
        )
    given = () if variables is None else (variables,)
    return Probe((as_pytree(model), *given), Tapped(layer, options, tokens))


def _check_static(model: object, options: tuple[tuple[str, Any], ...]) -> None:
    for name, value in options:
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"call={{{name!r}: ...}} is a {type(value).__name__}, which cannot be compared by value: pass it in "
                "variables="
            ) from None


def check_image(image: Array | np.ndarray) -> None:
    check_array(image)
    if image.ndim != 3:
        raise ValueError(
            f"a probe takes one image (H, W, C); got shape {image.shape}. "
            "Map over a batch with jax.vmap, or call jaxcam.explain."
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
