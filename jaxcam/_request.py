"""One request: the arguments of `explain`, `export` and `datasets.run`, checked and split for a compiled program."""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, PyTree

from ._checks import Later, check_images, check_probe, shape_of_output, whole_numbers
from ._errors import check_count, unknown
from ._method import Method
from .devices._chunks import default_chunk, forward_bytes
from .methods._expression import method_named
from .probes._probe import Probe
from .targets import _score
from .targets._several import Ranked, Top

Size = int | tuple[int, ...] | None
BoundTargets = Array | Partial | Ranked | None  # as a program takes them
Options = Mapping[str, PyTree]  # a method's, arrays among them


class Static(NamedTuple):
    """The part of a request that is compiled into its program: equal ones share a program.

    Attributes:
        method: a function of `jaxcam.METHODS`, or of the same signature.
        options: its keyword options, but for those that are arrays.
        size: of maps for display, such as `(H, W)`; None for raw maps.
        axis: axis of the targets that runs over images; None where all images share them.
        chunk: images at once; None for all of them.
    """

    method: Callable
    options: tuple[tuple[str, Hashable], ...]
    size: tuple[int, ...] | None
    axis: int | None
    chunk: int | None


class Request(NamedTuple):
    """The static part of a program, and the arrays that it takes as arguments.

    Attributes:
        targets: a pytree of arrays; None for the most likely class.
        arrays: those of the method's options.
        output: shape of the model's output for one image.
        later: checks of values that are on the device, to be made once it has work.
    """

    static: Static
    probe: Probe
    images: Array | jax.ShapeDtypeStruct
    targets: BoundTargets
    arrays: dict[str, Array | np.ndarray]
    output: PyTree
    later: Later

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.images.shape[0]


def bind(
    probe: Probe,
    images: PyTree,
    targets: PyTree,
    *,
    method: Callable | str,
    options: Options,
    raw: bool = False,
    size: Size = None,
    chunk: int | None = None,
    anywhere: bool = False,
    misnamed: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """Checks the arguments, and splits them into the static part of a program and the arrays that it takes.

    Args:
        probe, images, targets, method, raw, size, chunk: as for `jaxcam.explain`; images may also be a
            `jax.ShapeDtypeStruct` of a batch that comes later.
        options: keyword options of the method. A `chunk` among them stands for the argument.
        anywhere: the program may run on another machine, so nothing depends on the memory of this one's device.
        misnamed: what to say of an option that the method does not have, by its name.

    Raises the errors documented by `jaxcam.explain`.
    """
    # Check each part by itself, what costs least first.
    check_probe(probe)
    method = method_of(method)
    later: Later = []
    if not isinstance(images, jax.ShapeDtypeStruct):
        images = check_images(images, later)
    takes = check_options(method, options, misnamed)

    # Choose how much is computed at once: masks of each image where the method has that option, or else images.
    if "chunk" in takes:
        memory = None if anywhere else functools.partial(forward_bytes, probe, images)
        masks = _check_chunk(options.get("chunk", chunk))
        masks = masks or default_chunk(images.shape[1:], images.shape[0], each=memory)
        options, chunk = {**options, "chunk": masks}, None
    chunk = _check_chunk(chunk)

    # Check the targets by the model's output.
    output = shape_of_output(probe, images)
    targets, axis = targets_of(targets, images.shape[0], output, later)

    # Split the options: arrays are arguments of the program, anything else is part of it.
    size = size_of(size, raw, images.shape[1:-1])
    arrays = {name: value for name, value in options.items() if isinstance(value, jax.Array | np.ndarray)}
    rest = tuple(sorted((name, value) for name, value in options.items() if name not in arrays))
    return Request(Static(method, rest, size, axis, chunk), probe, images, targets, arrays, output, later)


def method_of(method: Method | str) -> Callable:
    if callable(method):
        return method
    if not isinstance(method, str):
        several = ": call explain once for each" if isinstance(method, Sequence | set) else ""
        raise TypeError(f"a method is a function or a name, one in a call; got {method!r}{several}")
    return method_named(method)


def check_options(
    method: Callable, options: Iterable[str], misnamed: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """The names of the method's options; TypeError for one that it does not have, none for a method that takes any."""
    accepted = inspect.signature(method).parameters.values()
    names = tuple(each.name for each in accepted if each.kind is each.KEYWORD_ONLY)
    for name in options:
        if name not in names and name in misnamed:
            raise TypeError(misnamed[name])
    if any(each.kind is each.VAR_KEYWORD for each in accepted):
        return ()
    for name in options:
        if name not in names:
            raise TypeError(f"{getattr(method, '__name__', method)}: {unknown('option', name, names)}")
    return names


def _check_chunk(chunk: PyTree) -> int | None:
    if chunk is not None:
        check_count("chunk", chunk)
    return chunk


def targets_of(targets: PyTree, batch: int, output: PyTree, later: Later) -> tuple[BoundTargets, int | None]:
    """Targets as a pytree for the compiled program, and the axis that runs over images.

    `later` takes the check of classes that are on a device, as for `check_images`.
    """
    if targets is None or isinstance(targets, Ranked):
        if getattr(output, "ndim", 0) != 1:
            _score.score(output, None)  # says what to pass instead
        if targets is not None and targets.k > output.shape[0]:
            what = f"top({targets.k})" if isinstance(targets, Top) else f"above(..., at_most={targets.k})"
            raise ValueError(f"{what} of a model with {output.shape[0]} classes")
        return targets, None
    if callable(targets):
        return (targets if isinstance(targets, Partial) else Partial(targets)), None
    if isinstance(targets, Sequence) and not isinstance(targets, str) and any(map(callable, targets)):
        return _stack(targets, batch), 0
    if isinstance(targets, bool | str | float):
        raise TypeError(f"a target must be a class index, None or a callable; got {targets!r}")
    indices = whole_numbers(targets)
    if indices.ndim > 2 or (indices.ndim > 0 and indices.shape[0] != batch):
        raise ValueError(
            f"{batch} images need {batch} targets, (B,) or (B, T), or one for all of them; got shape "
            f"{tuple(indices.shape)}"
        )
    if indices.size == 0:
        raise ValueError(f"targets must not be empty; got shape {tuple(indices.shape)}")
    if not isinstance(indices, jax.core.Tracer):
        if getattr(output, "ndim", 0) != 1:
            _score.score(output, int(indices.ravel()[0]))  # says what to pass instead
        check = functools.partial(_score.check_classes, indices, output.shape[0])
        if not isinstance(indices, jax.Array):
            check()
        else:
            later.append(check)
    return jnp.asarray(indices, dtype=jnp.int32), None if indices.ndim == 0 else 0


def _stack(targets: Sequence, batch: int) -> Partial:
    if len(targets) != batch:
        raise ValueError(f"{batch} images need {batch} targets; got {len(targets)}")
    structures = {jax.tree.structure(target) for target in targets}
    if not all(isinstance(target, Partial) for target in targets) or len(structures) > 1:
        raise TypeError(
            "the targets of one batch must come from one maker, such as jaxcam.similarity, so that they compile to "
            "one program; explain images with different functions in calls of their own"
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *targets)


def size_of(size: Size, raw: bool, image: tuple[int, ...]) -> tuple[int, ...] | None:
    """The size of maps for images of the spatial size `image`: as many entries; None for raw maps."""
    if raw:
        if size is not None:
            raise ValueError("raw maps come at the layer's size: pass raw=True or size=, not both")
        return None
    if size is None:
        return tuple(image)
    sides = (size,) * len(image) if isinstance(size, int) else tuple(size)
    if len(sides) != len(image) or not all(isinstance(side, int) and side >= 1 for side in sides):
        words = {1: "(length,)", 2: "(height, width) in pixels", 3: "(depth, height, width)"}[len(image)]
        raise ValueError(f"size must be {words}, each at least 1; got {size!r}")
    return sides
