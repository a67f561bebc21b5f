"""A Keras 3 model on the JAX backend as a probe sees it: layers by name, without an edit to the model."""

import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, cast

import jax
from jax.extend.core import Jaxpr
from jaxtyping import Array, PyTree

from .._errors import cut, unknown
from ._keras_marks import Namer, paths_in, replay
from ._layers import INPUT, Layer, input_layer, parsed
from ._marks import varying
from ._modes import in_training
from ._programs import source
from ._walk import Inputs, Walk, walk

Variables = tuple[list[Array], list[Array]]  # trainable, and not
Options = tuple[tuple[str, Any], ...]


def is_keras(model: object) -> bool:
    """Whether it is a model or a layer of Keras, which is not imported for it."""
    return any(kind.__module__.split(".")[0] == "keras" for kind in type(model).__mro__)


def keras_parts(
    model: Any, labels: Sequence[str], call: Options, method: str, tokens: int | None
) -> tuple[Variables, "Keras"]:
    """Parameters and static part of a probe of a Keras model."""
    import keras

    kind = type(model).__name__
    if keras.config.backend() != "jax":
        raise TypeError(
            f"{kind} runs on the {keras.config.backend()} backend of Keras, and a probe needs JAX: set "
            'KERAS_BACKEND="jax" in the environment before keras is imported'
        )
    if not isinstance(model, keras.Model):
        raise TypeError(f"the model must be a keras.Model; got {kind}: put it into a keras.Sequential")
    if not model.built:
        raise ValueError(f"{kind} has no variables yet: call it once on a batch of images")
    if first := next((each for each in _inner_layers(model) if _channels_first(each)), None):
        raise ValueError(
            f"layer {first.name!r} has its channels first, and a probe takes them last: make the model with "
            'data_format="channels_last"'
        )
    if not callable(getattr(model, method, None)):
        methods = [each for each in dir(type(model)) if not each.startswith("_")]
        raise ValueError(unknown("method", method, methods))
    if dict(call).get("training"):
        raise ValueError(in_training(type(model), "with training=True all"))
    takes = inspect.signature(model.call if method == "__call__" else getattr(model, method)).parameters
    if "training" in takes:
        call = (*((name, value) for name, value in call if name != "training"), ("training", False))
    values = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return (values, others), Keras(model, tuple(map(_layer, labels)), call, tokens, method)


def _layer(label: str) -> Layer:
    if label == INPUT:
        return input_layer()
    written, call, leaf = parsed(label)
    return Layer(label, ("keras", written), call, leaf)


def _name(layer: Layer) -> tuple[str, str]:
    return cast(tuple[str, str], layer.name)


@dataclasses.dataclass(frozen=True)
class Keras:
    """Layers of a Keras model, by name or by the end of the path. The probe's parameters are the model's variables.

    It compares the model by identity: two models of one architecture are compiled one by one.
    """

    model: Any
    layers: tuple[Layer, ...]
    call: Options = ()
    tokens: int | None = None
    method: str = "__call__"

    def __repr__(self) -> str:
        return ", ".join(layer.label for layer in self.layers)

    def only(self, layer: Layer) -> "Keras":
        return dataclasses.replace(self, layers=(layer,))

    def program(self, parameters: Variables, inputs: Inputs, images: Array) -> tuple[Any, dict[str, Array]]:
        traced, shapes = jax.make_jaxpr(self._run, return_shape=True)(parameters, inputs, images)
        leaves = jax.tree.leaves((parameters, inputs, images))
        outputs = replay(traced.jaxpr, traced.consts, leaves, self._names(traced.jaxpr))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    def _run(self, parameters: Variables, inputs: Inputs, images: Array) -> tuple[Any, dict[str, Array]]:
        import keras

        wanted = [_name(layer)[1] for layer in self.layers if layer.name != INPUT]
        varies = any(varying(leaf) for leaf in jax.tree.leaves((parameters, inputs, images)))
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(Namer(wanted, varies))  # of this thread
        try:
            output, after = self._call(parameters, *_arguments(self.model, images, inputs))
        except AssertionError as error:
            if not varies:
                raise
            raise ValueError(
                "a Keras layer that returns a tuple cannot be probed inside a jax.shard_map that checks which values "
                "vary: pass check_vma=False to it"
            ) from error
        finally:
            keras.distribution.set_distribution(before)
        return output, {f"{number:06}": value for number, value in enumerate(after)}

    def _call(self, parameters: Variables, positional: tuple, named: dict) -> tuple[Any, list[Array]]:
        """The output, and the variables that are not trained as the call leaves them."""
        import keras

        options = named | dict(self.call)
        if self.method == "__call__":
            return self.model.stateless_call(*parameters, *positional, **options)
        trainable, others = self.model.trainable_variables, self.model.non_trainable_variables
        values = zip([*trainable, *others], [*parameters[0], *parameters[1]], strict=True)
        with keras.StatelessScope(state_mapping=values) as scope:
            output = getattr(self.model, self.method)(*positional, **options)
        return output, [scope.get_current_value(variable) for variable in others]

    def _names(self, program: Jaxpr) -> dict[str, tuple[str, str]]:
        """The names of the marks, by the paths of the layers that the model calls."""
        paths = list(dict.fromkeys(paths_in(program)))
        names = {path: ("keras", path) for path in paths}
        for layer in self.layers:
            if layer.name == INPUT:
                continue
            _, written = _name(layer)
            found = (
                [written] if written in names else [path for path in paths if path.endswith(f"/{written}")]
            )
            if len(found) > 1:
                raise ValueError(
                    f"{len(found)} layers are called {written!r}: name one by its path, "
                    f"{cut(' or '.join(map(repr, found)), 500)}"
                )
            names |= dict.fromkeys(found, _name(layer))
        return names

    def check(self, program: Jaxpr, parameters: PyTree, after: dict) -> None:
        trainable, others = parameters
        first = len(program.outvars) - len(others)
        for number, atom in enumerate(program.outvars[first:]):
            if source(program, atom) != len(trainable) + number:
                variable = self.model.non_trainable_variables[number].path
                raise ValueError(in_training(type(self.model), f"the layer of {variable!r}"))

    def missing(self, parameters: PyTree, layer: Layer, names: list[tuple[str, str]]) -> str:
        paths = [path for _, path in names]
        short = [path.rpartition("/")[2] for path in paths]
        known = [last if short.count(last) == 1 else path for path, last in zip(paths, short, strict=True)]
        return unknown("layer", _name(layer)[1], known)

    def walk(self, parameters: PyTree, inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        return walk(self, parameters, inputs, images, axes)


def _arguments(model: Any, images: Array, inputs: Inputs) -> Inputs:
    """The images and the further inputs as the model takes them: a functional one in the structure of its inputs."""
    import keras

    positional, named = inputs
    if not isinstance(model, keras.Function):  # a model that is written as a class
        return (images, *positional), named
    structure = model.input
    if isinstance(structure, dict) and named:
        (rest,) = set(structure) - set(named)
        return ({rest: images, **named},), {}
    flat = [images, *positional]
    return (keras.tree.pack_sequence_as(structure, flat) if positional else images,), named


def _inner_layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _inner_layers(layer)


def _channels_first(layer: Any) -> bool:
    return getattr(layer, "data_format", None) == "channels_first"
