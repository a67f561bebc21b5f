"""Probe: look at, and edit, one layer of any JAX model."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from . import _targets
from ._errors import unknown

Edit = Callable[[Array], Array]
Image = Float[Array | np.ndarray, "H W C"]


class Look(NamedTuple):
    """What one look at a layer sees, for one image.

    Attributes:
        output: the model's output, usually logits `(classes,)`.
        score: the scalar that the target reads from the output.
        activation: the layer's activation `(h, w, K)`, at least float32.
        gradient: d score / d activation `(h, w, K)`, at least float32.
    """

    output: Any
    score: Array
    activation: Array
    gradient: Array


@runtime_checkable
class Anatomy(Hashable, Protocol):
    """The static half of a probe: runs a model and hands its layer's activation to an edit."""

    def run(self, parameters: Any, images: Array, edit: Edit) -> tuple[Any, Array]:
        """Batch of one image -> (output, activation before the edit), both with the batch axis."""
        ...


@jax.tree_util.register_pytree_node_class
class Probe:
    """One layer of one model, made by `jaxcam.probe`.

    A pytree whose leaves are the model's parameters: it passes through jit, vmap (`in_axes=None`), grad and
    jax.export as an argument, and weights never become constants of a compiled program. The static part compares
    by value, so a second probe of the same architecture and layer reuses what was compiled for the first.
    """

    def __init__(self, parameters: Any, anatomy: Anatomy):
        self.parameters = parameters
        self.anatomy = anatomy

    def __call__(self, image: Image, edit: Edit | None = None) -> tuple[Any, Array]:
        """Runs the model on one image.

        Args:
            image: `(H, W, C)`, preprocessed as the model wants it.
            edit: a function of the layer's activation `(h, w, K)` that returns what the rest of the model gets.

        Returns:
            The output for that image, without the batch axis, and the activation `(h, w, K)` before the edit.

        Raises:
            TypeError: an image that is not of floating point.
            ValueError: an image that is not `(H, W, C)`, a layer that is called twice or never, an activation
                without two spatial axes, an edit that changes the shape.
        """
        check_image(image)
        output, activation = self.anatomy.run(
            self.parameters, jnp.asarray(image)[None], lambda a: _edited(a, edit)
        )
        return jax.tree.map(lambda leaf: leaf[0], output), activation[0]

    def look(self, image: Image, target: _targets.Target = None) -> Look:
        """Output, score, activation and gradient of the layer for one image, for the cost of the forward pass
        and the backward pass of what follows the layer.

        The gradient is that of a zero added to the activation, so nothing before the layer is differentiated.

        Args:
            image: `(H, W, C)`.
            target: a class index, None for the most likely class, or a callable `output -> scalar`.
        """
        shape = jax.eval_shape(lambda x: self(x)[1], jax.ShapeDtypeStruct(image.shape, image.dtype))

        def score(change):
            output, activation = self(image, lambda a: a + change)
            return _targets.score(output, target), (output, activation)

        value, pull, (output, activation) = jax.vjp(score, jnp.zeros(shape.shape, shape.dtype), has_aux=True)
        (gradient,) = pull(jnp.ones_like(value))
        return Look(output, value, widen(activation), widen(gradient))

    def tree_flatten(self):
        return (self.parameters,), self.anatomy

    @classmethod
    def tree_unflatten(cls, anatomy, children):
        return cls(children[0], anatomy)

    def __repr__(self) -> str:
        return f"Probe({self.anatomy})"


def probe(
    model: nnx.Module | None = None,
    layer: str | None = None,
    *,
    split: tuple[Callable, Callable] | None = None,
) -> Probe:
    """A probe of one layer of a model.

    Args:
        model: any `flax.nnx.Module` that takes a batch `(B, H, W, C)`. It is viewed in evaluation mode (running
            batch statistics, no dropout) and never changed.
        layer: dotted path of a submodule whose output has two spatial axes and channels last: `"layer4"`,
            `"layer3.5.conv2"`, `"features.12"`.
        split: instead of both, two functions of a batch: `features: images -> activation (1, h, w, K)` and
            `head: activation -> output`. A function that is a pytree (an `nnx.Module`, a `jax.tree_util.Partial`)
            keeps its arrays as arguments; a plain function is static.

    Raises:
        TypeError: neither or both ways of naming a layer; a model that is no NNX module.
        ValueError: a path that does not exist (the nearest that does is named), or one that is not callable.

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> probe.look(jax.numpy.zeros((32, 32, 3)), 3).gradient.shape
        (8, 8, 64)
    """
    if split is not None:
        if model is not None or layer is not None:
            raise TypeError("pass a model and a layer, or split=(features, head), not both")
        features, head = split
        return Probe((_as_pytree(features), _as_pytree(head)), Split())
    if model is None or layer is None:
        raise TypeError("a probe takes a model and the path of a layer, or split=(features, head)")
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"the model must be a flax.nnx.Module; got {type(model).__name__}. "
            "Any other model can be cut into two functions: jaxcam.probe(split=(features, head))"
        )
    path = _resolve(model, layer)
    graphdef, state = nnx.split(_evaluation(model))
    leaves = nnx.to_flat_state(state)
    parameters = {
        "/".join(map(str, where)): leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf
        for where, leaf in leaves
    }
    return Probe(parameters, Submodule(graphdef, tuple(where for where, _ in leaves), path))


def widen(x: Array) -> Array:
    """`x` in float32, or in its own dtype where that is wider: what maps are computed in."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)


def check_image(image: Any) -> None:
    if image.ndim != 3:
        raise ValueError(
            f"a probe takes one image (H, W, C); got shape {image.shape}. "
            "Map over a batch with jax.vmap, or call jaxcam.explain."
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(
            f"an image must be of floating point, preprocessed for the model; got dtype {image.dtype}"
        )


class Submodule:
    """A submodule of an NNX module, by path. Compares by value; its hash is computed once."""

    def __init__(self, graphdef: Any, leaves: tuple[tuple, ...], path: tuple[str, ...]):
        self.graphdef, self.leaves, self.path = graphdef, leaves, path
        self._key = (graphdef, leaves, path)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Submodule) and self._hash == other._hash and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return ".".join(self.path)

    def run(self, parameters: dict[str, Any], images: Array, edit: Edit) -> tuple[Any, Array]:
        state = nnx.from_flat_state([(where, parameters["/".join(map(str, where))]) for where in self.leaves])
        model = nnx.merge(self.graphdef, state)  # a fresh copy, so the tap below touches nobody's model
        *above, name = self.path
        parent = model
        for step in above:
            parent = getattr(parent, step)
        tap = _Tap(getattr(parent, name), ".".join(self.path), edit)
        vars(parent)[name] = tap
        output = model(images)
        if tap.activation is None:
            raise ValueError(f"layer {tap.path!r} was never called: the model uses its parts, or skips it")
        return output, tap.activation


@dataclasses.dataclass(frozen=True)
class Split:
    """Two functions, given as the probe's parameters."""

    def run(self, parameters: tuple[Callable, Callable], images: Array, edit: Edit) -> tuple[Any, Array]:
        features, head = parameters
        activation = features(images)
        return head(edit(_check_activation(activation, "features"))), activation


class _Tap:
    """Stands at the place of a layer, keeps what it returns and hands on the edited activation."""

    def __init__(self, layer: Callable, path: str, edit: Edit):
        self.layer, self.path, self.edit = layer, path, edit
        self.activation: Array | None = None

    def __call__(self, *args: Any, **options: Any) -> Array:
        if self.activation is not None:
            raise ValueError(
                f"layer {self.path!r} is called more than once for one image, so it has no single activation: "
                "probe a layer that is called once"
            )
        self.activation = _check_activation(self.layer(*args, **options), f"layer {self.path!r}")
        return self.edit(self.activation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def __iter__(self):
        return iter(self.layer)  # a model that walks a list's parts never calls the list: run() says so


def _check_activation(activation: Any, who: str) -> Array:
    shape = getattr(activation, "shape", None)
    if shape is None or len(shape) != 4 or shape[0] != 1:
        seen = f"shape {tuple(shape)}" if shape is not None else type(activation).__name__
        raise ValueError(
            f"{who} returns {seen} for a batch of one image: a map needs an activation (1, h, w, K) with two "
            "spatial axes and channels last"
        )
    return activation


def _edited(activation: Array, edit: Edit | None) -> Array:
    if edit is None:
        return activation
    changed = edit(activation[0])
    if changed.shape != activation.shape[1:]:
        raise ValueError(
            f"an edit must keep the activation's shape {activation.shape[1:]}; got {changed.shape}"
        )
    return changed.astype(activation.dtype)[None]


def _evaluation(model: nnx.Module) -> nnx.Module:
    return nnx.view(model, use_running_average=True, deterministic=True, raise_if_not_found=False)


def _resolve(model: nnx.Module, layer: str) -> tuple[str, ...]:
    path = tuple(str(layer).split("."))
    node: Any = model
    for step in path:
        if step not in getattr(node, "__dict__", {}):
            raise ValueError(unknown("layer", layer, layers(model)))
        node = getattr(node, step)
    if not callable(node):
        raise ValueError(
            f"layer {layer!r} is a {type(node).__name__}, which is not callable: probe one of its parts"
        )
    return path


def layers(model: nnx.Module) -> list[str]:
    """Dotted paths of all submodules of `model`, outermost first."""
    paths = [
        ".".join(map(str, where)) for where, node in nnx.iter_graph(model) if isinstance(node, nnx.Module)
    ]
    return sorted((path for path in paths if path), key=lambda path: path.count("."))


def _as_pytree(function: Callable) -> Callable:
    if not callable(function):
        raise TypeError(f"split takes two functions; got {type(function).__name__}")
    if isinstance(function, nnx.Module):
        return _ModuleCall.of(function)
    if jax.tree.leaves(function) == [function]:  # a plain function
        return jax.tree_util.Partial(function)
    return function


@jax.tree_util.register_pytree_node_class
class _ModuleCall:
    """An NNX module as a function that is a pytree of its parameters."""

    def __init__(self, state: Any, graphdef: Any):
        self.state, self.graphdef = state, graphdef

    @classmethod
    def of(cls, module: nnx.Module) -> "_ModuleCall":
        graphdef, state = nnx.split(_evaluation(module))
        return cls(nnx.to_pure_dict(state), graphdef)

    def __call__(self, *args: Any) -> Any:
        return nnx.merge(self.graphdef, self.state)(*args)

    def tree_flatten(self):
        return (self.state,), self.graphdef

    @classmethod
    def tree_unflatten(cls, graphdef, children):
        return cls(children[0], graphdef)
